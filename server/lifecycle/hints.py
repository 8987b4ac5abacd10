"""A hint that something changed in a store on this machine's disk, by Linux' inotify.

Only a hint: some file systems, and disks of other machines, tell nothing, and a full queue drops events.
Whoever is hinted at looks for himself, and looks without a hint too. Spoken to through ctypes, as Landlock
is: two calls, for which a library would bring a thread of its own and more to keep up to date.
"""

import asyncio
import ctypes
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# A name appeared, by being made, linked or moved there; and only if it is a folder that is watched.
_CREATE, _MOVED_TO, _ONLY_FOLDERS = 0x100, 0x80, 0x01000000
_EVENTS = 2**16


class Hints:
    """Calls `hint` on the event loop when a name appears in a folder that is watched; `close` ends it.

    Where there is no inotify, or no more of it, nothing is ever told.
    """

    def __init__(self, hint: Callable[[], None]) -> None:
        self._hint = hint
        self._loop = asyncio.get_running_loop()
        self._library = ctypes.CDLL(None)
        try:
            self._descriptor = int(self._library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        except AttributeError:
            self._descriptor = -1
        if self._descriptor >= 0:
            self._loop.add_reader(self._descriptor, self._read)

    def watch(self, folders: Iterable[Path]) -> None:
        """Watch these too; one that is watched already, or isn't there, changes nothing."""
        if self._descriptor < 0:
            return
        for folder in folders:
            mask = _CREATE | _MOVED_TO | _ONLY_FOLDERS
            self._library.inotify_add_watch(self._descriptor, os.fsencode(folder), mask)

    def close(self) -> None:
        """Tell nothing more."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _read(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self._descriptor, _EVENTS):
                pass
        self._hint()


def folders_of(address: str) -> list[Path]:
    """Return the folders in which ensembles and journal entries of a store appear; none for one elsewhere."""
    if "://" in address:
        return []
    ensembles = Path(address) / "ensembles"
    return [ensembles, *ensembles.glob("*"), *ensembles.glob("*/journal")]


@contextmanager
def hinting(address: str, hint: Callable[[], None]) -> Iterator[None]:
    """Call `hint` on the event loop, while the block runs, when something may have changed in a store."""

    def changed() -> None:
        # A new ensemble brings new folders.
        hints.watch(folders_of(address))
        hint()

    hints = Hints(changed)
    hints.watch(folders_of(address))
    try:
        yield
    finally:
        hints.close()
