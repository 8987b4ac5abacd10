"""Sees new journal entries in the store and has their versions taken up.

Polling is the truth. A nudge (from inotify, or somebody who just published) only makes the next look come
sooner.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import isinf
from typing import Protocol

from ensemble.errors import ModelNotFoundError

from .retrying import ABSENT, RetryOptions, reason_of, rest

log = logging.getLogger("unisono.lifecycle")


class Observer(Protocol):
    """Who is told how reading the store went."""

    def store_read(self) -> None:
        """A poll saw all that is in the store."""
        ...

    def store_failed(self) -> None:
        """A poll failed; what is served stays served."""
        ...


class Target(Protocol):
    """What serves the versions that are wanted."""

    def versions(self, name: str) -> Sequence[int]:
        """Return the versions of `name` that are served, the one that answers first."""
        ...

    def absent(self, name: str, version: int) -> Collection[str]:
        """Return the members that a version which is served could not load."""
        ...

    def take_up(self, name: str, version: int, wanted: Sequence[int]) -> Awaitable[None]:
        """Load `version`, then serve it and what else is `wanted`; what was served stays so on any error."""
        ...

    def settle(self, name: str, wanted: Sequence[int]) -> None:
        """Serve what is loaded of `wanted`, and no more."""
        ...


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How often to look, in seconds, and when to try again what failed."""

    poll_interval: float = 1.0
    retry: RetryOptions = field(default_factory=RetryOptions)


@dataclass(frozen=True, slots=True)
class _Failure:
    """How often a version could not be taken up, and when to try again on the loop's clock."""

    tries: int
    retry_at: float


# The versions of each ensemble to serve, the one that answers first; or why that can't be known.
Wanted = Mapping[str, Sequence[int] | Exception]


class Watcher:
    """Compares what is wanted of the store with what is served, over and over."""

    def __init__(
        self, read: Callable[[], Wanted], target: Target, observer: Observer, options: WatchOptions
    ) -> None:
        self._read = read
        self._target = target
        self._observer = observer
        self._options = options
        self._failures: dict[tuple[str, int], _Failure] = {}
        self._held: set[str] = set()
        self._complaints: dict[str, str] = {}
        self._seen: set[str] = set()
        self._one_at_a_time = asyncio.Lock()
        self._nudged = asyncio.Event()

    def nudge(self) -> None:
        """Look as soon as may be: something may have changed. Called on the event loop."""
        self._nudged.set()

    async def wanted(self) -> Mapping[str, Sequence[int]]:
        """Read which versions are to be served, the one that answers first; raise what reading raises.

        An ensemble that can't be read is left out, counted and logged; the others go on.
        """
        found = await asyncio.to_thread(self._read)
        # A disk that isn't mounted is an empty folder: nothing fails, and yet the store is gone.
        for name in sorted(self._seen - found.keys()):
            self._complain(
                name, LookupError("it was in the store and isn't there now; is the store mounted?")
            )
        self._seen.update(found)
        for name, versions in found.items():
            if isinstance(versions, Exception):
                self._complain(name, versions)
            else:
                self._complaints.pop(name, None)
        return {name: versions for name, versions in found.items() if not isinstance(versions, Exception)}

    async def hold(self, name: str) -> None:
        """Take nothing up of `name` until it is loaded; one that is being taken up is waited for."""
        async with self._one_at_a_time:
            self._held.add(name)

    async def load(self, name: str) -> None:
        """Take up what is wanted of `name` now, held or resting or not; raise what that raises."""
        async with self._one_at_a_time:
            wanted = (await self.wanted()).get(name)
            if wanted is None:
                raise ModelNotFoundError(
                    f"failed to load '{name}', failed to poll from model repository: it isn't published there"
                )
            for version in wanted:
                self._failures.pop((name, version), None)
                if not self._whole(name, version):
                    await self._target.take_up(name, version, wanted)
                    self._note_absent(name, version)
            self._target.settle(name, wanted)
            self._held.discard(name)

    async def watch(self) -> None:
        """Look until cancelled; the first look is the caller's, through `look`."""
        while True:
            # Jitter, so that many servers of one store don't all read it in the same instant.
            interval = self._options.poll_interval * random.uniform(0.8, 1.2)  # noqa: S311 - not a secret
            with suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await self._nudged.wait()
            self._nudged.clear()
            await self.look()

    async def look(self) -> frozenset[str]:
        """Read the store once, take up what is new, and return the names that were there to be read.

        Errors are logged and counted, never raised.
        """
        try:
            found = await self.wanted()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look may fare better
            self._complain("the store", error)
            return frozenset()
        self._complaints.pop("the store", None)
        if not self._complaints:
            self._observer.store_read()
        self._forget(found)
        for name, wanted in found.items():
            async with self._one_at_a_time:
                if name not in self._held:
                    await self._follow(name, wanted)
        return frozenset(found)

    def _forget(self, found: Mapping[str, Sequence[int]]) -> None:
        """Forget the failures of versions that nobody wants: wanted again, they are tried again."""
        self._failures = {
            (name, version): failure
            for (name, version), failure in self._failures.items()
            if version in found.get(name, (version,))
        }

    def _complain(self, what: str, error: Exception) -> None:
        """Count that `what` couldn't be read; log it when it is news, and not every second anew."""
        self._observer.store_failed()
        if self._complaints.get(what) != str(error):
            self._complaints[what] = str(error)
            log.error("could not read %s; what is served stays served: %s", what, error)

    async def _follow(self, name: str, wanted: Sequence[int]) -> None:
        now = asyncio.get_running_loop().time()
        for version in wanted:
            failure = self._failures.get((name, version))
            rests = failure is not None and now < failure.retry_at
            if not rests and not self._whole(name, version):
                await self._try(name, version, wanted)
        self._target.settle(name, wanted)

    def _whole(self, name: str, version: int) -> bool:
        """Whether a version is served with all of its members."""
        return version in self._target.versions(name) and not self._target.absent(name, version)

    async def _try(self, name: str, version: int, wanted: Sequence[int]) -> None:
        try:
            await self._target.take_up(name, version, wanted)
        except Exception as error:
            reason = reason_of(error)
            wait = self._rest(name, version, reason)
            again = "not trying again until it is loaded by hand or another is published"
            log.exception(
                "could not load %s version %d (%s); version %s stays; %s",
                *(name, version, reason, next(iter(self._target.versions(name)), "none")),
                again if isinf(wait) else f"trying again in {wait:.0f} s",
            )
        else:
            self._note_absent(name, version)

    def _note_absent(self, name: str, version: int) -> None:
        """After a version was taken up, leave alone for a while the members that it is served without."""
        absent = self._target.absent(name, version)
        if not absent:
            self._failures.pop((name, version), None)
            return
        wait = self._rest(name, version, ABSENT)
        log.warning(
            "%s version %d is served without %s; trying again in %.0f s",
            *(name, version, ", ".join(sorted(absent)), wait),
        )

    def _rest(self, name: str, version: int, reason: str) -> float:
        """Leave `version` alone, longer each time; return how long, in seconds."""
        before = self._failures.get((name, version))
        tries = 1 if before is None else before.tries + 1
        wait = rest(tries, reason, self._options.retry)
        self._failures[name, version] = _Failure(tries, asyncio.get_running_loop().time() + wait)
        return wait
