"""Sees new journal entries in the store and has their versions taken up."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ensemble.errors import ModelNotFoundError

log = logging.getLogger("unisono.lifecycle")


class Observer(Protocol):
    """Who is told that the store could not be read."""

    def store_failed(self) -> None:
        """A poll failed; what is served stays served."""
        ...


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How often to look, in seconds, and how long to leave a version alone that failed to load."""

    poll_interval: float = 1.0
    first_retry: float = 2.0
    last_retry: float = 60.0


@dataclass(slots=True)
class _Failure:
    """A version that could not be taken up, and when to try again on the loop's clock."""

    version: int
    retry_after: float
    retry_at: float


class Watcher:
    """Compares what is current in the store with what is served, over and over."""

    def __init__(
        self,
        current: Callable[[], Mapping[str, int | Exception]],
        take_up: Callable[[str, int], Awaitable[None]],
        observer: Observer,
        options: WatchOptions,
    ) -> None:
        self._current = current
        self._take_up = take_up
        self._observer = observer
        self._options = options
        self._served: dict[str, int] = {}
        self._failures: dict[str, _Failure] = {}
        self._held: set[str] = set()
        self._complaints: dict[str, str] = {}
        self._one_at_a_time = asyncio.Lock()

    async def published(self) -> Mapping[str, int]:
        """Read what is current in the store; raise what reading it raises.

        An ensemble that can't be read is left out, counted and logged; the others go on.
        """
        found = await asyncio.to_thread(self._current)
        for name, current in found.items():
            if isinstance(current, Exception):
                self._complain(name, current)
            else:
                self._complaints.pop(name, None)
        return {name: current for name, current in found.items() if not isinstance(current, Exception)}

    async def hold(self, name: str) -> None:
        """Take nothing up of `name` until it is loaded; one that is being taken up is waited for."""
        async with self._one_at_a_time:
            self._held.add(name)
            self._served.pop(name, None)

    async def load(self, name: str) -> None:
        """Take up what is current of `name` now, held or resting or not; raise what that raises."""
        async with self._one_at_a_time:
            version = (await self.published()).get(name)
            if version is None:
                raise ModelNotFoundError(
                    f"failed to load '{name}', failed to poll from model repository: it isn't published there"
                )
            if self._served.get(name) != version:
                await self._take_up(name, version)
                self._served[name] = version
            self._held.discard(name)
            self._failures.pop(name, None)

    async def watch(self) -> None:
        """Look until cancelled; the first look is the caller's, through `look`."""
        while True:
            # Jitter, so that many servers of one store don't all read it in the same instant.
            await asyncio.sleep(self._options.poll_interval * random.uniform(0.8, 1.2))  # noqa: S311 - not a secret
            await self.look()

    async def look(self) -> frozenset[str]:
        """Read the store once, take up what is new, and return the names that were there to be read.

        Errors are logged and counted, never raised.
        """
        try:
            current = await self.published()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look may fare better
            self._complain("the store", error)
            return frozenset()
        self._complaints.pop("the store", None)
        for name, version in current.items():
            async with self._one_at_a_time:
                resting = name in self._held or self._resting(name, version)
                if self._served.get(name) != version and not resting:
                    await self._try(name, version)
        return frozenset(current)

    def _complain(self, what: str, error: Exception) -> None:
        """Count that `what` couldn't be read; log it when it is news, and not every second anew."""
        self._observer.store_failed()
        if self._complaints.get(what) != str(error):
            self._complaints[what] = str(error)
            log.error("could not read %s; what is served stays served: %s", what, error)

    def _resting(self, name: str, version: int) -> bool:
        failure = self._failures.get(name)
        now = asyncio.get_running_loop().time()
        return failure is not None and failure.version == version and now < failure.retry_at

    async def _try(self, name: str, version: int) -> None:
        try:
            await self._take_up(name, version)
        except Exception:
            wait = self._rest(name, version)
            log.exception(
                "could not load %s version %d; version %s stays; trying again in %.0f s",
                *(name, version, self._served.get(name, "none"), wait),
            )
        else:
            self._served[name] = version
            self._failures.pop(name, None)

    def _rest(self, name: str, version: int) -> float:
        """Leave `version` alone for twice as long as the last time; return how long, in seconds."""
        before = self._failures.get(name)
        again = before is not None and before.version == version
        wait = before.retry_after * 2 if before and again else self._options.first_retry
        wait = min(wait, self._options.last_retry)
        now = asyncio.get_running_loop().time()
        self._failures[name] = _Failure(version, wait, now + wait)
        return wait
