"""Bytes filed under their own sha256: written once, shared by versions, checked whenever they are read."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from model_store import reading
from model_store.durable import Writer, explained
from model_store.errors import StoreCorruptError
from model_store.manifest import BlobRef

CHUNK_BYTES = 2**20
ROLE = "blob"
_PRIVATE = 0o400
_WAY_OUT = "publish the same file again to mend it, or roll back to another version"


@dataclass(frozen=True, slots=True)
class Blobs:
    """The blobs of one ensemble, below `folder`."""

    folder: Path
    writer: Writer

    def path(self, ref: BlobRef) -> Path:
        """Return where `ref` lies or would lie; nothing is checked."""
        return self.folder / "sha256" / ref.digest[:2] / ref.digest

    def put(self, source: Path | bytes) -> BlobRef:
        """File the bytes of `source`, durably, hashing as it copies; the same bytes again change nothing.

        A blob that went bad on disk is mended by putting its bytes again.
        """
        sha256, size = hashlib.sha256(), 0

        def copied() -> Iterator[bytes]:
            nonlocal size
            for chunk in _chunks(source):
                sha256.update(chunk)
                size += len(chunk)
                yield chunk

        temp = self.writer.stage(self.folder / "sha256", copied(), ROLE)
        ref = BlobRef(sha256.hexdigest(), size)
        if not self.writer.commit(temp, self.path(ref), ROLE, mend=lambda: not self._whole(ref)):
            self.writer.touch(self.path(ref), ROLE)
        return ref

    def checked(self, ref: BlobRef) -> Path:
        """Return the path of `ref`, its size and sha256 verified just now; StoreCorruptError."""
        with self._opened(ref) as file:
            _compare(ref, hashlib.file_digest(file, "sha256").hexdigest())
        return self.path(ref)

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

    def check_there(self, ref: BlobRef) -> None:
        """Raise StoreCorruptError unless a plain file of the right size is there; its bytes are not read."""
        with self._opened(ref):
            pass

    def _whole(self, ref: BlobRef) -> bool:
        """Whether the blob on disk is what its name says."""
        try:
            self.checked(ref)
        except StoreCorruptError:
            return False
        return True

    @contextmanager
    def _opened(self, ref: BlobRef) -> Iterator[BufferedReader]:
        """Open the file of `ref` if it is a plain one of the right size; StoreCorruptError."""
        try:
            with reading.opened(self.path(ref), ROLE) as file:
                size = os.fstat(file.fileno()).st_size
                if size != ref.size:
                    raise StoreCorruptError(f"blob {ref.digest} has {size} bytes, not {ref.size}; {_WAY_OUT}")
                yield file
        except FileNotFoundError:
            raise StoreCorruptError(f"blob {ref.digest} is missing; {_WAY_OUT}") from None


def _compare(ref: BlobRef, digest: str) -> None:
    """Raise StoreCorruptError if bytes with this sha256 are not those of `ref`."""
    if digest != ref.digest:
        raise StoreCorruptError(f"blob {ref.digest} holds bytes with sha256 {digest}; {_WAY_OUT}")


def _chunks(source: Path | bytes) -> Iterator[bytes]:
    """Yield the bytes of `source`, CHUNK_BYTES at a time; StoreUnavailableError if it can't be read."""
    if isinstance(source, bytes):
        yield source
        return
    with explained("read the file to store", source), source.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
