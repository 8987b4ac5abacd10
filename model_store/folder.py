"""A store's keys as files below a folder, durably: the embedded default."""

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from model_store import reading
from model_store.durable import TEMP_PREFIX, Disk, Writer, explained
from model_store.errors import StoreCorruptError
from model_store.hashing import Hashed, digest_of
from model_store.objects import Found, StillHeld

# Disks that have no locks: there the grace of `garbage.collect` is all that protects a publisher.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)


@dataclass(frozen=True, slots=True)
class Folder:
    """The keys below the folder `root`, which is made with the first one."""

    root: Path
    disk: Disk = field(default_factory=Disk)

    @property
    def address(self) -> str:
        """The folder's path."""
        return str(self.root)

    @property
    def remote(self) -> bool:
        """A disk needs no cache."""
        return False

    def absent(self) -> str | None:
        """Say that the folder doesn't exist, if so."""
        return None if self.root.is_dir() else f"the store's folder {self.address!r} doesn't exist"

    def path(self, key: str) -> Path:
        """Return the file of `key`."""
        return self.root / key

    def where(self, key: str) -> str:
        """Return the path of `key`."""
        return str(self.path(key))

    def names(self, folder: str, role: str) -> list[str]:
        """Return the names in a folder, sorted."""
        return reading.names(self.path(folder), role)

    def listing(self, folder: str) -> Iterator[Found]:
        """Yield the plain files below a folder, sorted; links are left out and not followed."""
        for above, folders, names in os.walk(self.path(folder)):
            folders.sort()
            for name in sorted(names):
                path = Path(above) / name
                with explained("look at", path):
                    try:
                        facts = path.lstat()
                    except FileNotFoundError:
                        # A publisher gave its temp file its name meanwhile.
                        continue
                if stat.S_ISREG(facts.st_mode):
                    modified = datetime.fromtimestamp(facts.st_mtime, UTC)
                    leftover = name.startswith(TEMP_PREFIX)
                    yield Found(path.relative_to(self.root).as_posix(), facts.st_size, modified, leftover)

    def read(self, key: str, role: str, limit: int) -> bytes:
        """Read a plain file."""
        return reading.read(self.path(key), role, limit)

    def read_all(self, keys: Sequence[str], role: str, limit: int) -> Iterator[bytes]:
        """Read plain files."""
        return (self.read(key, role, limit) for key in keys)

    @contextmanager
    def opened(self, key: str, role: str) -> Iterator[tuple[BinaryIO, int]]:
        """Open a plain file."""
        with reading.opened(self.path(key), role) as file:
            yield file, os.fstat(file.fileno()).st_size

    def size(self, key: str, role: str) -> int:
        """Return the size of a plain file."""
        with self.opened(key, role) as (_, size):
            return size

    def create(self, key: str, data: bytes, role: str) -> bool:
        """Write a file and link it to its name."""
        return self._writer.create(self.path(key), data, role)

    def file_away(self, source: Path | bytes, key_of: Callable[[str], str], role: str) -> tuple[str, int]:
        """Write a temp file, hashing as it goes, and link it to the name that its bytes have."""
        hashed = Hashed(source)
        # Beside the folders that the names are in: which one isn't known before the end.
        folder = self.path(key_of("0" * 64)).parent.parent
        temp = self._writer.stage(folder, hashed, role)
        path = self.path(key_of(hashed.digest))
        mended = self._writer.commit(temp, path, role, mend=lambda: not _holds(path, hashed.digest, role))
        if not mended:
            self._writer.touch(path, role)
        return hashed.digest, hashed.size

    def remove(self, key: str, role: str) -> None:
        """Remove a file."""
        path = self.path(key)
        with explained(f"remove {role}", path):
            try:
                self.disk.remove(path)
            except FileNotFoundError:
                return

    @contextmanager
    def publishing(self, folder: str) -> Iterator[StillHeld]:
        """Share the folder's lock."""
        with self._locked(self.path(folder), fcntl.LOCK_SH):
            yield _held

    @contextmanager
    def collecting(self, folder: str) -> Iterator[StillHeld]:
        """Wait for the folder's lock."""
        with self._locked(self.path(folder), fcntl.LOCK_EX):
            yield _held

    @contextmanager
    def _locked(self, folder: Path, kind: int) -> Iterator[None]:
        """Hold a lock on a folder; it ends with the process, whatever happens."""
        with explained("lock the ensemble's folder", folder):
            try:
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                descriptor = None
        if descriptor is None:
            # Nothing was put yet, so there is nothing to clear away.
            yield
            return
        try:
            with explained("lock the ensemble's folder", folder):
                _lock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)

    @property
    def _writer(self) -> Writer:
        return Writer(self.root, self.disk)


def _held() -> None:
    """A lock of the kernel's is held until its holder lets go or ends."""


def _holds(path: Path, digest: str, role: str) -> bool:
    """Whether the file is a plain one with this sha256."""
    try:
        with reading.opened(path, role) as file:
            return digest_of(file) == digest
    except (StoreCorruptError, FileNotFoundError):
        return False


def _lock(descriptor: int, kind: int) -> None:
    """Wait for the lock; go on without it where the disk has none."""
    try:
        fcntl.flock(descriptor, kind)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
