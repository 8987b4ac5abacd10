"""Connects to object storage: which service, and how long to wait for it.

Region, endpoint and credentials are read by obstore, from the environment variables that each service's own
tools use; docs/reference/store.md names them.
"""

import os
from datetime import timedelta
from typing import TYPE_CHECKING

from obstore.store import AzureStore, GCSStore, S3Store

from model_store.bucket import Bucket
from model_store.bucket_errors import explained

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

# A large member takes its time; one that doesn't move for `read_timeout` is given up.
CLIENT: "ClientConfig" = {
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=20),
    "timeout": timedelta(hours=1),
}
RETRY: "RetryConfig" = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=20),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=2),
        "base": 2,
    },
}


def connect(scheme: str, bucket: str, prefix: str) -> Bucket:
    """Return the bucket that `s3`, `gs` or `az` and its name mean; no request is made."""
    address = f"{scheme}://{bucket}/{prefix}".rstrip("/")
    kind, family = {"s3": (S3Store, "AWS"), "gs": (GCSStore, "GOOGLE"), "az": (AzureStore, "AZURE")}[scheme]
    # obstore reads this one too, but not beside options of ours.
    allow_http = os.environ.get(f"{family}_ALLOW_HTTP", "").lower() in ("1", "true", "yes")
    options: ClientConfig = {**CLIENT, "allow_http": allow_http}
    with explained("open", address):
        client = kind(bucket, prefix=prefix or None, client_options=options, retry_config=RETRY)
    return Bucket(client, address)
