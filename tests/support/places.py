"""Where a store in a folder keeps its things, for tests that look at them or spoil them."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from model_store.durable import Disk
from model_store.folder import Folder
from model_store.manifest import BlobRef
from model_store.store import Store, utc_now


def store_in(root: Path, clock: Callable[[], datetime] = utc_now, disk: Disk | None = None) -> Store:
    """The store in the folder `root`, on a disk of the test's."""
    return Store(Folder(root, disk or Disk()), clock)


def root_of(store: Store) -> Path:
    """The folder of a store that lies in one."""
    return Path(store.address)


def blob_file(store: Store, name: str, ref: BlobRef) -> Path:
    """The file of a blob."""
    return root_of(store) / store.layout(name).blobs.key(ref.digest)
