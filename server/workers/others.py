"""A worker's side of the line to its parent: what it tells the other workers, and is told by them."""

import asyncio
import fcntl
import logging
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from ensemble.errors import UnavailableError
from server.lifecycle.companions import Perform

from .link import Link

log = logging.getLogger("unisono.workers")


class Others:
    """The other workers, heard through the parent. Used on the event loop."""

    def __init__(self, link: Link, held: Collection[str], refit_lock: Path) -> None:
        self.held = held
        self._link = link
        self._lock = refit_lock
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._perform: Perform | None = None
        self._performing: set[asyncio.Task[None]] = set()
        self.drain = asyncio.Event()
        self.orphaned = False

    def joined(self, perform: Perform) -> None:
        """Do from now on what the others tell."""
        self._perform = perform

    async def tell(self, what: str, name: str) -> None:
        """Have each of the others do `what`, and wait until it has."""
        number = next(self._numbers)
        self._waiting[number] = done = asyncio.get_running_loop().create_future()
        self._link.send(tell=number, what=what, name=name)
        try:
            await done
        finally:
            del self._waiting[number]

    def refitting(self) -> AbstractContextManager[None]:
        """Hold the one place there is for a refit; UnavailableError if another worker has it."""
        return _locked(self._lock)

    async def listen(self) -> None:
        """Hear what the parent says, until it is gone; then drain, as when it says so."""
        async for message in self._link.messages():
            self._hear(message)
        self.orphaned = True
        self.drain.set()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(None)

    def _hear(self, message: dict[str, Any]) -> None:
        if "do" in message:
            task = asyncio.get_running_loop().create_task(self._do(**message))
            self._performing.add(task)
            task.add_done_callback(self._performing.discard)
        elif "told" in message:
            waiting = self._waiting.get(message["told"])
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
        else:
            self.drain.set()

    async def _do(self, do: int, what: str, name: str) -> None:
        try:
            if self._perform is not None:
                await self._perform(what, name)
        except Exception:
            log.exception("could not %s %s, as another worker did", what, name)
        finally:
            self._link.send(did=do)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        try:
            # Gone with the process, however it ends.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UnavailableError(
                "a refit is under way in another worker, and one is run at a time: ask later"
            ) from error
        yield
