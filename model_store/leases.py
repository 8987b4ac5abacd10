"""Locks made of objects, where there is no kernel to hold one: publishers share, a collector is alone.

Rule 1: who wants in first puts a lease under a key of its own, then looks for others'. A listing shows what
was put before it; so of two that exclude each other at least one sees the other.
Rule 2: who sees a collector takes its own lease back and waits; a collector waits for publishers with it.
Rule 3: a lease counts for `term` after it was written, on the storage's clock: its holder may have died.
Rule 4: a holder stops being sure after half of that on its own clock, and then neither commits nor deletes.
"""

import random
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from model_store.errors import ConflictError
from model_store.objects import Found, StillHeld

ROLE = "lease"
_COLLECT = "collect-"
_PUBLISH = "publish-"


def _ticks() -> float:
    """Seconds that go on while the machine sleeps, where its clock can."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Place(Protocol):
    """What leases are made of: the part of a bucket that they need."""

    def create(self, key: str, data: bytes, role: str) -> bool:
        """Write a new key, unless it exists."""
        ...

    def remove(self, key: str, role: str) -> None:
        """Take a key away."""
        ...

    def listing(self, folder: str) -> Iterator[Found]:
        """Yield what lies below `folder`."""
        ...


@dataclass(frozen=True, slots=True)
class Leases:
    """How long a lease counts, how long to wait for others' (seconds), and how to tell and pass the time."""

    term: float = 600.0
    patience: float = 30.0
    pause: float = 0.25
    ticks: Callable[[], float] = _ticks
    sleep: Callable[[float], None] = time.sleep

    @contextmanager
    def shared(self, place: Place, folder: str) -> Iterator[StillHeld]:
        """Hold a publisher's lease; ConflictError if somebody collects for longer than the patience."""
        with self._held(place, f"{folder}/{_PUBLISH}{secrets.token_hex(8)}") as still_held:
            yield still_held

    @contextmanager
    def alone(self, place: Place, folder: str) -> Iterator[StillHeld]:
        """Hold the collector's lease; ConflictError if others publish or collect for longer than that."""
        key, end = f"{folder}/{_COLLECT}{secrets.token_hex(8)}", self.ticks() + self.patience
        with self._held(place, key) as still_held:
            while self._others(place, key, _PUBLISH):
                self._wait(end, "somebody publishes here, so nothing can be collected now; try again soon")
            yield still_held

    @contextmanager
    def _held(self, place: Place, key: str) -> Iterator[StillHeld]:
        """Hold a lease while nobody else collects."""
        end = self.ticks() + self.patience
        while True:
            sure_until = self.ticks() + self.term / 2
            place.create(key, b"", ROLE)
            if not self._others(place, key, _COLLECT):
                break
            place.remove(key, ROLE)
            self._wait(
                end, "garbage is being collected here, so nothing else can be done now; try again soon"
            )
        try:
            yield lambda: self._check(sure_until)
        finally:
            place.remove(key, ROLE)

    def _others(self, place: Place, own: str, kind: str) -> bool:
        """Whether any lease of `kind`, apart from `own`, still counts; those that don't are cleared away."""
        leases = {lease.key: lease for lease in place.listing(own.rpartition("/")[0])}
        # What is now on the storage's clock is told by our own lease: it was written just before.
        now = leases.pop(own).modified
        counting = False
        for lease in leases.values():
            if now - lease.modified >= timedelta(seconds=self.term):
                place.remove(lease.key, ROLE)
            elif lease.name.startswith(kind):
                counting = True
        return counting

    def _wait(self, end: float, otherwise: str) -> None:
        """Wait a little; ConflictError with the reason if that was long enough."""
        if self.ticks() >= end:
            raise ConflictError(otherwise)
        # Two that see each other and go back must not meet again in the same instant.
        self.sleep(self.pause * random.uniform(0.5, 1.5))  # noqa: S311 - not a secret

    def _check(self, sure_until: float) -> None:
        if self.ticks() > sure_until:
            raise ConflictError(
                f"this took over {self.term / 2:.0f} s between its check and its end, so others may have "
                "gone on without it; nothing was done, try again"
            )
