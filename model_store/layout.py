"""Where the parts of one ensemble lie, and the lock between those who add bytes and who clear them away."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from model_store.blobs import Blobs
from model_store.durable import Disk, Writer, explained
from model_store.entries import Entries
from model_store.names import check_name
from model_store.versions import Versions

# Disks that have no locks: there the grace of `garbage.collect` is all that protects a publisher.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of ensemble `name` in the store at `root`; InvalidNameError for what is no name."""

    root: Path
    name: str
    disk: Disk

    def __post_init__(self) -> None:
        """Refuse a name that could leave the store."""
        check_name(self.name, "ensemble")

    @property
    def folder(self) -> Path:
        """The ensemble's own folder."""
        return self.root / "ensembles" / self.name

    @property
    def entries(self) -> Entries:
        """Its journal."""
        return Entries(self.folder / "journal", self._writer)

    @property
    def versions(self) -> Versions:
        """Its manifests."""
        return Versions(self.name, self.folder / "versions", self._writer)

    @property
    def blobs(self) -> Blobs:
        """Its bytes."""
        return Blobs(self.folder / "blobs", self._writer)

    @contextmanager
    def publishing(self) -> Iterator[None]:
        """Keep garbage collection out between the check that all bytes are there and the journal entry."""
        with self._locked(fcntl.LOCK_SH):
            yield

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Wait for publishers between check and journal entry, and keep new ones waiting."""
        with self._locked(fcntl.LOCK_EX):
            yield

    @contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        """Hold a lock on the ensemble's folder; it ends with the process, whatever happens."""
        with explained("lock the ensemble's folder", self.folder):
            try:
                descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                descriptor = None
        if descriptor is None:
            # Nothing was put yet, so there is nothing to clear away.
            yield
            return
        try:
            with explained("lock the ensemble's folder", self.folder):
                _lock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)

    @property
    def _writer(self) -> Writer:
        return Writer(self.root, self.disk)


def _lock(descriptor: int, kind: int) -> None:
    """Wait for the lock; go on without it where the disk has none."""
    try:
        fcntl.flock(descriptor, kind)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
