"""From a store's address to the place it names."""

from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

from model_store.errors import StoreUnavailableError
from model_store.folder import Folder
from model_store.objects import Objects

BUCKETS = ("s3", "gs", "az")


def objects_at(address: str) -> Objects:
    """Return the folder or bucket that `address` names, unread; StoreUnavailableError if it names none."""
    if address and "://" not in address:
        return Folder(Path(address).absolute())
    parts = urlsplit(address)
    if (
        parts.scheme in BUCKETS
        and parts.netloc
        and not (parts.query or parts.fragment or "@" in parts.netloc)
    ):
        return _bucket(parts.scheme, parts.netloc, parts.path.strip("/"))
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise StoreUnavailableError(
            f"store address {address!r} can't be opened; use a path, file:///absolute/path, "
            "s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
        )
    return Folder(Path(unquote(parts.path)))


def _bucket(scheme: str, bucket: str, prefix: str) -> Objects:
    """Connect to object storage, whose library is loaded only now."""
    try:
        connect = import_module("model_store.bucket_client").connect
    except ModuleNotFoundError as error:
        raise StoreUnavailableError(
            f"a store in a bucket needs {error.name!r}, which isn't installed here: pip install obstore"
        ) from error
    connected: Objects = connect(scheme, bucket, prefix)
    return connected
