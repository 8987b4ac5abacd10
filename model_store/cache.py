"""Blobs of a remote store kept on this machine: by sha256, of a bounded size, for any number of processes.

Rule 1: nobody trusts what lies here without its digest: whoever opens a file hashes it as it reads.
Rule 2: a file gets its name when its bytes were checked. Until then it is a `.part`, locked by who writes it;
who wants the same bytes waits for that lock and then finds them.
Rule 3: who reads holds a shared lock, and only what can be locked alone is taken away.
Rule 4: a cache that can't be used (no space, no permission, bytes larger than all of it) is done without.
"""

import errno
import fcntl
import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from model_store.hashing import CHUNK_BYTES, digest_of
from model_store.manifest import BlobRef

log = logging.getLogger("unisono.store")

PART = ".part"
_PRIVATE_FOLDER, _PRIVATE_FILE = 0o700, 0o600
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC

# Opens the bytes where they come from, at their start.
Fetch = Callable[[], AbstractContextManager[BinaryIO]]


@dataclass(frozen=True, slots=True)
class Cache:
    """Blobs below `folder`, at most `max_bytes` of them, the ones not used for longest going first."""

    folder: Path
    max_bytes: int

    @contextmanager
    def opened(self, ref: BlobRef, fetch: Fetch) -> Iterator[BinaryIO]:
        """Open the bytes of `ref`, from here or, if they aren't here or went bad, from where they come from.

        They stay as long as the file is open. The caller verifies what it reads all the same. Errors are
        those of `fetch`.
        """
        descriptor = self._kept_or_fetched(ref, fetch)
        if descriptor is None:
            with fetch() as file:
                yield file
            return
        with os.fdopen(descriptor, "rb") as file:
            yield file

    def path(self, ref: BlobRef) -> Path:
        """Return where `ref` lies if it is here."""
        return self.folder / "sha256" / ref.digest[:2] / ref.digest

    def _kept_or_fetched(self, ref: BlobRef, fetch: Fetch) -> int | None:
        """Return a descriptor of the cached bytes, locked against eviction; None if it must do without."""
        if ref.size > self.max_bytes:
            return None
        try:
            # Nobody else gets in, so those below need no modes of their own.
            self.folder.mkdir(_PRIVATE_FOLDER, parents=True, exist_ok=True)
            self.path(ref).parent.mkdir(parents=True, exist_ok=True)
            while True:
                if (kept := self._kept(ref)) is not None:
                    return kept
                if (fetched := self._fetched(ref, fetch)) is not None:
                    return fetched
        except OSError as error:
            log.warning("the cache %s can't be used, so the store is read itself: %s", self.folder, error)
            return None

    def _kept(self, ref: BlobRef) -> int | None:
        """Return a locked descriptor of what is here; None if it isn't or, being bad, was taken away."""
        path = self.path(ref)
        try:
            descriptor = os.open(path, _OPEN)
        except FileNotFoundError:
            return None
        with ExitStack() as undo:
            undo.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                good = os.fstat(descriptor).st_size == ref.size and digest_of(file) == ref.digest
            if not good:
                path.unlink(missing_ok=True)
                return None
            os.lseek(descriptor, 0, os.SEEK_SET)
            # That is when it was used last.
            os.utime(descriptor)
            undo.pop_all()
        return descriptor

    def _fetched(self, ref: BlobRef, fetch: Fetch) -> int | None:
        """Fetch the bytes and return a locked descriptor; None if another process had them meanwhile."""
        path = self.path(ref)
        part = path.with_name(path.name + PART)
        with ExitStack() as undo:
            descriptor = os.open(part, _WRITE, _PRIVATE_FILE)
            undo.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not _is_still(part, descriptor) or path.exists():
                return None
            undo.callback(part.unlink, missing_ok=True)
            with self._locked():
                self._make_room(ref.size, part)
                # Its room is taken from now on, for those who make room for others.
                os.ftruncate(descriptor, ref.size)
            _fill(descriptor, ref, fetch)
            # Not while somebody counts, who might see neither of its names.
            with self._locked():
                part.replace(path)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            os.lseek(descriptor, 0, os.SEEK_SET)
            undo.pop_all()
        return descriptor

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Be the only one who makes room."""
        descriptor = os.open(self.folder / ".lock", _WRITE, _PRIVATE_FILE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _make_room(self, size: int, own: Path) -> None:
        """Take away what wasn't used for longest and nobody has open, until `size` more bytes fit."""
        found = []
        for path in (self.folder / "sha256").glob("*/*"):
            with suppress(FileNotFoundError):
                facts = path.lstat()
                if path != own:
                    found.append((facts.st_mtime_ns, facts.st_size, path))
        total = sum(each for _, each, _ in found) + size
        for _, each, path in sorted(found):
            if total <= self.max_bytes:
                return
            if _taken_away(path):
                total -= each
        if total > self.max_bytes:
            raise OSError(errno.ENOSPC, f"all but {size} of its {self.max_bytes} bytes are in use")


def _fill(descriptor: int, ref: BlobRef, fetch: Fetch) -> None:
    """Write what `fetch` gives; OSError if it isn't what `ref` says."""
    sha256, size = hashlib.sha256(), 0
    with fetch() as file, os.fdopen(descriptor, "wb", closefd=False) as part:
        while size <= ref.size and (chunk := file.read(CHUNK_BYTES)):
            sha256.update(chunk)
            size += len(chunk)
            part.write(chunk)
    if (sha256.hexdigest(), size) != (ref.digest, ref.size):
        raise OSError(errno.EIO, f"blob {ref.digest} came with other bytes than its name says")


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether `path` is the file that is open; another process may have moved it on."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(facts, os.fstat(descriptor))


def _taken_away(path: Path) -> bool:
    """Remove a file unless somebody has it open; whether it is gone."""
    try:
        descriptor = os.open(path, _OPEN)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_still(path, descriptor):
            path.unlink()
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
