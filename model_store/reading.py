"""Reading files that somebody may have tampered with: plain files, no links, no more bytes than asked."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from model_store.durable import explained
from model_store.errors import StoreCorruptError


@contextmanager
def opened(path: Path, role: str) -> Iterator[BufferedReader]:
    """Open the plain file `path`; FileNotFoundError, or StoreCorruptError for a link, a folder, a pipe."""
    try:
        # O_NONBLOCK: opening a pipe that somebody put there must not hang.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _not_plain(path, role) from None
        with explained(f"read {role}", path):
            raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _not_plain(path, role)
    with os.fdopen(descriptor, "rb") as file, explained(f"read {role}", path):
        yield file


def read(path: Path, role: str, limit: int) -> bytes:
    """Read a plain file of at most `limit` bytes; FileNotFoundError, or StoreCorruptError if it is longer."""
    with opened(path, role) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise StoreCorruptError(f"{role} {str(path)!r} is over {limit} bytes: it was not written by unisono")
    return data


def names(folder: Path, role: str) -> list[str]:
    """Return the names in `folder`, sorted; none if it isn't there."""
    with explained(f"list {role}", folder):
        try:
            return sorted(path.name for path in folder.iterdir())
        except FileNotFoundError:
            return []


def _not_plain(path: Path, role: str) -> StoreCorruptError:
    return StoreCorruptError(
        f"{role} {str(path)!r} is a link or no plain file; remove it, then restore or publish it again"
    )
