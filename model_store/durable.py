"""Files that are whole or not there, whatever dies when.

Rule 1: a file appears under its name complete, by linking a temp file that is already on disk, and never
changes.
Rule 2: whoever links second is told so; nothing is overwritten (except a blob that went bad).
Rule 3: a file counts once its folder, and each folder up to the store's own, is on disk too.
Rule 4: after a failed fsync the temp file is thrown away: the kernel may have dropped the pages and
call the next fsync a success.
"""

import errno
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from model_store.errors import StoreUnavailableError

TEMP_PREFIX = ".tmp-"
# Nothing in the store is ever edited, so nothing needs to be writable.
FILE_MODE = 0o444

_WAY_OUT = {
    errno.ENOSPC: "free some space on that disk, then try again",
    errno.EDQUOT: "free some of the quota, then try again",
    errno.EACCES: "check who owns the store and who runs this",
    errno.EPERM: "check who owns the store and who runs this",
    errno.EROFS: "the disk is mounted read-only: mount it writable or use another store",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "a file is where a folder should be: check the path",
    errno.EIO: "the disk failed: check it before trusting what it holds",
    errno.EMLINK: "the disk has no hard links to give: put the store on a local disk",
    errno.ENOTSUP: "the disk has no hard links: put the store on a local disk",
}


@contextmanager
def explained(doing: str, path: Path) -> Iterator[None]:
    """Turn an OSError of the body into a StoreUnavailableError: what failed, on which path, the way out."""
    try:
        yield
    except OSError as error:
        way_out = _WAY_OUT.get(error.errno or 0, "check the store's disk, then try again")
        reason = error.strerror or str(error)
        raise StoreUnavailableError(f"can't {doing} {str(path)!r}: {reason}; {way_out}") from error


class Disk:
    """The few operations that writing is made of. Tests put one that fails or dies in its place."""

    def make_folder(self, path: Path) -> None:
        """Make one folder; FileExistsError if it is there."""
        path.mkdir()

    def create(self, path: Path) -> int:
        """Open a new, empty file for writing."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)

    def write(self, descriptor: int, data: bytes) -> int:
        """Write what the disk takes of `data`; return how many bytes that was."""
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        """Wait until the file's bytes are on disk."""
        os.fsync(descriptor)

    def link(self, temp: Path, final: Path) -> None:
        """Give a file a second name; FileExistsError if the name is taken."""
        os.link(temp, final, follow_symlinks=False)

    def replace(self, temp: Path, final: Path) -> None:
        """Move a file over another."""
        temp.replace(final)

    def remove(self, path: Path) -> None:
        """Take a name away."""
        path.unlink()

    def touch(self, path: Path) -> None:
        """Set a file's time to now, which keeps it from being collected as garbage."""
        os.utime(path, follow_symlinks=False)

    def sync_folder(self, path: Path) -> None:
        """Wait until a folder's names are on disk."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            # Some file systems have no fsync for folders and say EINVAL: there it is not ours to ask.
            if error.errno != errno.EINVAL:
                raise
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes files below `root`, the store's folder, which is made when the first one comes."""

    root: Path
    disk: Disk

    def create(self, path: Path, data: bytes, role: str) -> bool:
        """Write `data` as the new file `path`, durably; False, and nothing changed, if `path` exists."""
        temp = self.stage(path.parent, [data], role)
        return self.commit(temp, path, role)

    def stage(self, folder: Path, chunks: Iterable[bytes], role: str) -> Path:
        """Write `chunks` to a temp file in `folder`, on disk when this returns; the caller commits it."""
        self._make_folders(folder, role)
        temp = folder / f"{TEMP_PREFIX}{os.getpid()}-{secrets.token_hex(8)}"
        try:
            with explained(f"write {role}", temp):
                self._fill(temp, chunks)
        except BaseException:
            self.discard(temp)
            raise
        return temp

    def commit(self, temp: Path, final: Path, role: str, *, mend: Callable[[], bool] = lambda: False) -> bool:
        """Give a staged file its name, durably, and drop the temp name; False if `final` exists.

        A file that exists and that `mend` says is bad is replaced, which counts as not having existed.
        """
        try:
            self._make_folders(final.parent, role)
            with explained(f"name {role}", final):
                won = self._link(temp, final)
                if not won and mend():
                    self.disk.replace(temp, final)
                    won = True
        finally:
            self.discard(temp)
        # Also if another won: it may have died before its name was on disk, and we build on it.
        with explained(f"make sure of {role}", final):
            self.disk.sync_folder(final.parent)
        return won

    def touch(self, path: Path, role: str) -> None:
        """Set the time of a file that is used again to now, so that it isn't taken for garbage."""
        with explained(f"touch {role}", path):
            self.disk.touch(path)

    def discard(self, temp: Path) -> None:
        """Drop a temp name if it is still there; one that can't be dropped is left for `gc`."""
        with suppress(OSError):
            self.disk.remove(temp)

    def _fill(self, temp: Path, chunks: Iterable[bytes]) -> None:
        """Write and fsync one temp file."""
        descriptor = self.disk.create(temp)
        try:
            for chunk in chunks:
                rest = chunk
                while rest:
                    rest = rest[self.disk.write(descriptor, rest) :]
            self.disk.sync(descriptor)
        finally:
            os.close(descriptor)

    def _link(self, temp: Path, final: Path) -> bool:
        """Link; whether the name is now ours."""
        try:
            self.disk.link(temp, final)
        except FileExistsError:
            # Over a network, the answer to a link that worked can be lost, and the retry says "exists".
            return temp.samefile(final)
        return True

    def _make_folders(self, folder: Path, role: str) -> None:
        """Make `folder` and what is missing above it, and see that each is on disk."""
        with explained(f"make the folder of {role}", folder):
            above = (folder, *folder.parents)
            missing = list(takewhile(lambda path: not path.is_dir(), above))
            for path in reversed(missing):
                with suppress(FileExistsError):
                    self.disk.make_folder(path)
            # Also those that were there: who made them may have died before they were on disk.
            ours = takewhile(lambda path: path != self.root, above)
            for path in sorted({*missing, *ours}):
                self.disk.sync_folder(path.parent)
