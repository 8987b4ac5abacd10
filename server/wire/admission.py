"""Bounds on what is in the server at once: calls, and the bytes of their requests.

What comes beyond is refused at once, before its message is read, and told when to come again: a server that
takes everything answers nothing in time. Health isn't asked here.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Protocol, Self

from ensemble.errors import EnsembleError

# How much the newest call counts in the average of how long calls take.
NEWEST_SHARE = 0.1
LEAST_RETRY_SECS, MOST_RETRY_SECS = 0.02, 5.0


class TooBusyError(EnsembleError):
    """As much is in the server as may be; the same request may succeed `retry_secs` later."""

    def __init__(self, message: str, retry_secs: float) -> None:
        super().__init__(message)
        self.retry_secs = retry_secs


class Observer(Protocol):
    """Who hears of what comes in, leaves, and is refused."""

    def in_flight(self, calls: int, size: int) -> None:
        """So many calls are in the server now, with requests of `size` bytes in all."""
        ...

    def refused(self, reason: str, calls: int = 1) -> None:
        """So many were refused: too many "calls" or "bytes", too long a "wait"; or "shed" before this."""
        ...


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """How much may be in the server at once."""

    calls: int = 1024
    size: int = 256 * 2**20  # bytes of requests
    wait_secs: float = 5.0  # until a call that comes now would have its scores


class Admission:
    """Counts calls in and out. Used on the event loop only.

    `wait` tells in how many seconds a call that comes now would have its scores.
    """

    def __init__(
        self,
        limits: AdmissionLimits,
        observer: Observer | None = None,
        wait: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._limits = limits
        self._wait = wait
        self._observer = observer
        self._calls = 0
        self._size = 0
        self._usual_secs = LEAST_RETRY_SECS
        self.asked = 0  # calls for scores since the beginning,
        self.turned_away = 0  # and those of them that found no place

    def enter(self, *, waits: bool = False) -> "Place":
        """Let one call in, before its message is read; TooBusyError if there is no place.

        One that `waits` for scores is refused too while that would take too long.
        """
        self.asked += waits
        try:
            self._find_place(waits=waits)
        except TooBusyError:
            self.turned_away += waits
            raise
        self._count(1, 0)
        return Place(self)

    def _find_place(self, *, waits: bool) -> None:
        if self._calls >= self._limits.calls:
            raise self._refusal("calls", f"{self._calls} calls run, {self._limits.calls} may")
        if self._size >= self._limits.size:
            raise self._refusal("bytes", f"{self._size} bytes are held, {self._limits.size} may be")
        if waits and (wait := self._wait()) > self._limits.wait_secs:
            raise self._refusal(
                "wait", f"scores would take {wait:.2g} s, {self._limits.wait_secs:.2g} s they may", wait
            )

    def hold(self, size: int) -> None:
        """Count a message's bytes; TooBusyError if others leave no room. One alone always has room."""
        if self._size and self._size + size > self._limits.size:
            raise self._refusal(
                "bytes", f"{self._size} bytes are held, {self._limits.size} may be, this would add {size}"
            )
        self._count(0, size)

    def shed(self, calls: int) -> None:
        """Count calls that were refused before they came here."""
        if calls and self._observer is not None:
            self._observer.refused("shed", calls)

    def leave(self, size: int, seconds: float) -> None:
        """Let a call out that was in for so long."""
        self._usual_secs += NEWEST_SHARE * (seconds - self._usual_secs)
        self._count(-1, -size)

    def _count(self, calls: int, size: int) -> None:
        self._calls += calls
        self._size += size
        if self._observer is not None:
            self._observer.in_flight(self._calls, self._size)

    def _refusal(self, reason: str, text: str, wait: float = 0.0) -> TooBusyError:
        if self._observer is not None:
            self._observer.refused(reason)
        # By then a place has likely been left. Spread, so that those refused together don't come together.
        usual = min(max(self._usual_secs, wait, LEAST_RETRY_SECS), MOST_RETRY_SECS)
        return TooBusyError(f"server is at its limit: {text}; retry with backoff", usual * _spread())


class Place:
    """One call's place; leaves with the block."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._size = 0
        self._since = monotonic()

    def hold(self, size: int) -> None:
        """Count the message that was read; TooBusyError if there is no room for it."""
        self._admission.hold(size)
        self._size = size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._admission.leave(self._size, monotonic() - self._since)


def _spread() -> float:
    return random.uniform(0.75, 1.5)  # noqa: S311 - not a secret
