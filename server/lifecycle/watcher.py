"""Sees new journal entries in the store and has their versions taken up."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

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
        current: Callable[[], Mapping[str, int]],
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

    async def watch(self) -> None:
        """Look until cancelled; the first look is the caller's, through `look`."""
        while True:
            # Jitter, so that many servers of one store don't all read it in the same instant.
            await asyncio.sleep(self._options.poll_interval * random.uniform(0.8, 1.2))  # noqa: S311 - not a secret
            await self.look()

    async def look(self) -> None:
        """Read the store once and take up what is new. Errors are logged and counted, never raised."""
        try:
            current = await asyncio.to_thread(self._current)
        except Exception:
            self._observer.store_failed()
            log.exception("could not read the store; what is served stays served")
            return
        for name, version in current.items():
            if self._served.get(name) != version and not self._resting(name, version):
                await self._try(name, version)

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
