"""Bytes filed under their own sha256: written once, shared by versions, checked whenever they are read."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from model_store.cache import Cache
from model_store.durable import explained
from model_store.errors import StoreCorruptError
from model_store.hashing import CHUNK_BYTES, digest_of
from model_store.manifest import BlobRef
from model_store.objects import Objects

ROLE = "blob"
_PRIVATE = 0o400
_WAY_OUT = "publish the same file again to mend it, or roll back to another version"


@dataclass(frozen=True, slots=True)
class Blobs:
    """The blobs of one ensemble, below `folder`; with a `cache`, those that are read are kept there too."""

    objects: Objects
    folder: str
    cache: Cache | None = None

    def key(self, digest: str) -> str:
        """Return where the bytes with this sha256 lie or would lie."""
        return f"{self.folder}/sha256/{digest[:2]}/{digest}"

    def put(self, source: Path | bytes) -> BlobRef:
        """File the bytes of `source`, durably, hashing as it goes; the same bytes again change nothing.

        A blob that went bad is mended by putting its bytes again.
        """
        return BlobRef(*self.objects.file_away(source, self.key, ROLE))

    def check(self, ref: BlobRef) -> None:
        """Read `ref` from the store itself; StoreCorruptError unless its size and sha256 are right."""
        with self._stored(ref) as file:
            _compare(ref, digest_of(file))

    def check_there(self, ref: BlobRef) -> None:
        """Raise StoreCorruptError unless it is there in the right size; its bytes are not read."""
        try:
            _compare_size(ref, self.objects.size(self.key(ref.digest), ROLE))
        except FileNotFoundError:
            raise _missing(ref) from None

    def read(self, ref: BlobRef) -> bytes:
        """Return the bytes of `ref`, all of them in memory, verified; StoreCorruptError."""
        with self._opened(ref) as file:
            data = file.read()
        _compare(ref, hashlib.sha256(data).hexdigest())
        return data

    def copy(self, ref: BlobRef, target: Path) -> None:
        """Write the bytes of `ref` to the new file `target`, which this user alone may read and nobody write.

        They are hashed as they are copied, so what lies there is what was checked; StoreCorruptError, and no
        file, if they are others.
        """
        sha256 = hashlib.sha256()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with (
            self._opened(ref) as file,
            explained("copy a blob to", target),
            os.fdopen(os.open(target, flags, _PRIVATE), "wb") as made,
        ):
            while chunk := file.read(CHUNK_BYTES):
                sha256.update(chunk)
                made.write(chunk)
        try:
            _compare(ref, sha256.hexdigest())
        except StoreCorruptError:
            target.unlink()
            raise

    @contextmanager
    def _opened(self, ref: BlobRef) -> Iterator[BinaryIO]:
        """Open the bytes of `ref`, from the cache if there is one; they are still to be verified."""
        if self.cache is None:
            with self._stored(ref) as file:
                yield file
            return
        with self.cache.opened(ref, lambda: self._stored(ref)) as file:
            yield file

    @contextmanager
    def _stored(self, ref: BlobRef) -> Iterator[BinaryIO]:
        """Open what the store holds as `ref`, if its size is right; StoreCorruptError."""
        try:
            with self.objects.opened(self.key(ref.digest), ROLE) as (file, size):
                _compare_size(ref, size)
                yield file
        except FileNotFoundError:
            raise _missing(ref) from None


def _missing(ref: BlobRef) -> StoreCorruptError:
    return StoreCorruptError(f"blob {ref.digest} is missing; {_WAY_OUT}")


def _compare_size(ref: BlobRef, size: int) -> None:
    """Raise StoreCorruptError if bytes of this number can't be those of `ref`."""
    if size != ref.size:
        raise StoreCorruptError(f"blob {ref.digest} has {size} bytes, not {ref.size}; {_WAY_OUT}")


def _compare(ref: BlobRef, digest: str) -> None:
    """Raise StoreCorruptError if bytes with this sha256 are not those of `ref`."""
    if digest != ref.digest:
        raise StoreCorruptError(f"blob {ref.digest} holds bytes with sha256 {digest}; {_WAY_OUT}")
