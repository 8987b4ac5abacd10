"""The places a store can lie in, for tests of what holds in all of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

import obstore
from obstore.store import MemoryStore, ObjectStore

from model_store.bucket import Bucket
from model_store.cache import Cache
from model_store.folder import Folder
from model_store.leases import Leases
from model_store.objects import Objects
from model_store.store import Store, utc_now
from tests.model_store.disks import QuickDisk, files_below

# Waits that a test would notice are over at once.
QUICK = Leases(patience=0.2, pause=0.01)


class Place(Protocol):
    """Somewhere for a store to lie, whose keys a test can look at and spoil."""

    def objects(self) -> Objects:
        """Open it, as another process would: nothing is remembered."""
        ...

    def keys(self) -> set[str]:
        """All that lies there."""
        ...

    def write(self, key: str, data: bytes) -> None:
        """Write over a key."""
        ...

    def drop(self, key: str) -> None:
        """Take a key away."""
        ...


@dataclass
class FolderPlace:
    """A folder."""

    root: Path

    def objects(self) -> Objects:
        return Folder(self.root, QuickDisk())

    def keys(self) -> set[str]:
        return files_below(self.root)

    def write(self, key: str, data: bytes) -> None:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(data)

    def drop(self, key: str) -> None:
        (self.root / key).unlink()


@dataclass
class BucketPlace:
    """A bucket, in memory or behind an API."""

    bucket: Bucket

    @classmethod
    def in_memory(cls) -> "BucketPlace":
        return cls(Bucket(MemoryStore(), "memory://store", QUICK))

    def objects(self) -> Objects:
        return replace(self.bucket, _remembered={})

    @property
    def client(self) -> ObjectStore:
        return self.bucket.client

    def keys(self) -> set[str]:
        return {meta["path"] for page in obstore.list(self.client) for meta in page}

    def write(self, key: str, data: bytes) -> None:
        obstore.put(self.client, key, data)

    def drop(self, key: str) -> None:
        obstore.delete(self.client, key)


def store_at(place: Place, clock: Callable[[], datetime] = utc_now, cache: Cache | None = None) -> Store:
    """Open the store that lies at `place`."""
    return Store(place.objects(), clock, cache)
