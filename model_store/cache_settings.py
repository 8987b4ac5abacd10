"""Where the cache of remote stores lies and how large it may get, from the environment.

The environment and not an option: it is the machine's, and reaches every process that opens a store by its
address, workers too.
"""

import os
from pathlib import Path

from model_store.cache import Cache
from model_store.errors import StoreUnavailableError

FOLDER = "UNISONO_CACHE_FOLDER"
BYTES = "UNISONO_CACHE_BYTES"
DEFAULT_BYTES = 10 * 2**30


def cache_from_environment() -> Cache | None:
    """Return the cache; None if it may hold 0 bytes. StoreUnavailableError if its size is no number."""
    said = os.environ.get(BYTES, str(DEFAULT_BYTES))
    if not (said.isascii() and said.isdigit()):
        raise StoreUnavailableError(
            f"{BYTES} is {said!r}; it must be a number of bytes, such as {DEFAULT_BYTES}; 0 means no cache"
        )
    folder = os.environ.get(FOLDER)
    if folder is None:
        root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = str(Path(root) / "unisono" / "blobs")
    return Cache(Path(folder).absolute(), int(said)) if int(said) else None
