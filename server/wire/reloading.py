"""Files that are taken up anew while the server runs: certificates, tokens.

A file that can't be used never replaces one that can: what was read last stays in use, and the log and a
metric say so until the file is right again.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from ensemble.errors import EnsembleError

T = TypeVar("T")

log = logging.getLogger("unisono.wire")


class UnusableFileError(EnsembleError):
    """A file of certificates or tokens isn't there, can't be read, or doesn't hold what it should."""


class Observer(Protocol):
    """Who hears of reloads."""

    def reloaded(self, what: str) -> None:
        """New content of `what` is in use."""
        ...

    def reload_failed(self, what: str) -> None:
        """What lies there now as `what` can't be used."""
        ...

    def reload_settled(self, what: str) -> None:
        """What is in use and what lies there are the same again."""
        ...


class Reloaded(Generic[T]):
    """What `read` gave last without an error. Values are compared by ==; any thread may read `value`."""

    def __init__(self, what: str, read: Callable[[], T], observer: Observer) -> None:
        """Read for the first time: raises UnusableFileError."""
        self._what = what
        self._read = read
        self._observer = observer
        self._seen = ""  # the error of the last look
        self._told = ""  # the error that was logged last
        self.value = read()
        observer.reload_settled(what)

    def look(self) -> None:
        """Read again and take up what is new.

        An error counts when two looks in a row meet it: several files are seldom replaced in one instant.
        """
        try:
            value = self._read()
        except UnusableFileError as error:
            self._complain(str(error))
            return
        self._seen = self._told = ""
        if value != self.value:
            self.value = value
            self._observer.reloaded(self._what)
            log.info("the %s were replaced and are in use", self._what)
        self._observer.reload_settled(self._what)

    def _complain(self, error: str) -> None:
        settled, self._seen = self._seen == error, error
        if settled and self._told != error:
            self._told = error
            self._observer.reload_failed(self._what)
            log.error("the new %s can't be used, the old ones stay: %s", self._what, error)


async def watch(reloads: Sequence[Reloaded[Any]], interval_secs: float) -> None:
    """Look at each of `reloads` again and again, until cancelled."""
    while True:
        await asyncio.sleep(interval_secs)
        for each in reloads:
            await asyncio.to_thread(each.look)
