"""Bounds on what is in the server at once: calls, and the bytes of their requests.

What comes beyond is refused at once, before its message is read, and told when to come again: a server that
takes everything answers nothing in time. Health isn't asked here.
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Protocol, Self

from ensemble.errors import EnsembleError

# How much the newest call counts in the average of how long calls take.
NEWEST_SHARE = 0.1
LEAST_RETRY_SECS, MOST_RETRY_SECS = 0.02, 5.0
# What a client sends at once is here by then.
MOMENT_SECS = 0.05


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


class Coming:
    """Calls that were let in a moment ago and haven't brought their message. Knows no clock.

    They will be in the queue soon, and nobody sees them there. Of this moment and the one before: who sends
    slowly must not keep others out.
    """

    def __init__(self) -> None:
        self._moment = 0
        self._now = 0
        self._before = 0

    def count(self, now: float) -> int:
        """Return how many there are."""
        moment = int(now / MOMENT_SECS)
        if moment != self._moment:
            self._before = self._now if moment == self._moment + 1 else 0
            self._moment, self._now = moment, 0
        return self._now + self._before

    def add(self, now: float) -> int:
        """Count one more; return its moment."""
        self.count(now)
        self._now += 1
        return self._moment

    def remove(self, moment: int) -> None:
        """Count the one of that moment no more."""
        if moment == self._moment:
            self._now -= 1
        elif moment == self._moment - 1 and self._before:
            self._before -= 1


class Admission:
    """Counts calls in and out. Used on the event loop only.

    `wait` tells in how many seconds a call that comes now, behind so many others, would have its scores.
    """

    def __init__(
        self,
        limits: AdmissionLimits,
        observer: Observer | None = None,
        wait: Callable[[int], float] = lambda _coming: 0.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._limits = limits
        self._wait = wait
        self._clock = clock
        self._observer = observer
        self._coming = Coming()
        self._announced = deque[int]()  # the moments of those that haven't entered
        self._calls = 0
        self._size = 0
        self._usual_secs = LEAST_RETRY_SECS
        self.asked = 0  # calls for scores since the beginning,
        self.turned_away = 0  # and those of them that found no place

    def enter(self, *, waits: bool = False) -> "Place":
        """Let one call in, before its message is read; TooBusyError if there is no place.

        One that `waits` for scores is refused too while that would take too long.
        """
        announced = waits and bool(self._announced)
        lacking = self.lacks(waits=waits and not announced)
        if lacking:
            self.turn_away(lacking, waits=waits)
            raise self.refusal(lacking)
        self.asked += waits
        self._count(1, 0)
        now = self._clock()
        if announced:
            return Place(self, now, self._announced.popleft())
        return Place(self, now, self._coming.add(now) if waits else None)

    def announce(self) -> None:
        """Count a call that wants scores, and was told by its head alone that there is room; it enters soon.

        Whoever enters next is taken for it: as many as there was room for find it, whoever they are.
        """
        moment = self._coming.add(self._clock())
        # Not all come: a client may be gone before its call begins.
        while self._announced and self._announced[0] < moment - 1:
            self._announced.popleft()
        self._announced.append(moment)

    def lacks(self, *, waits: bool = False) -> str:
        """Say what a call finds too little of, as `Observer.refused` names it; "" if nothing."""
        if self._calls >= self._limits.calls:
            return "calls"
        if self._size >= self._limits.size:
            return "bytes"
        return "wait" if waits and self._expected() > self._limits.wait_secs else ""

    def turn_away(self, lacking: str, *, waits: bool = False, calls: int = 1) -> None:
        """Count calls that found too little of `lacking`, as `lacks` says."""
        self.asked += waits * calls
        self.turned_away += waits * calls
        if self._observer is not None:
            self._observer.refused(lacking, calls=calls)

    def refusal(self, lacking: str) -> TooBusyError:
        """Say why a call is refused that finds too little of `lacking`, and when to come again."""
        limits, wait = self._limits, 0.0
        if lacking == "calls":
            text = f"{self._calls} calls run, {limits.calls} may"
        elif lacking == "bytes":
            text = f"{self._size} bytes are held, {limits.size} may be"
        else:
            wait = self._expected()
            text = f"scores would take {wait:.2g} s, {limits.wait_secs:.2g} s they may"
        return self._too_busy(text, wait)

    def hold(self, size: int) -> None:
        """Count a message's bytes; TooBusyError if others leave no room. One alone always has room."""
        if self._size and self._size + size > self._limits.size:
            self.turn_away("bytes")
            raise self._too_busy(
                f"{self._size} bytes are held, {self._limits.size} may be, this would add {size}"
            )
        self._count(0, size)

    def brought(self, moment: int) -> None:
        """Take note that the message is there of a call that was let in at that moment."""
        self._coming.remove(moment)

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

    def _expected(self) -> float:
        return self._wait(self._coming.count(self._clock()))

    def _too_busy(self, text: str, wait: float = 0.0) -> TooBusyError:
        # By then a place has likely been left. Spread, so that those refused together don't come together.
        usual = min(max(self._usual_secs, wait, LEAST_RETRY_SECS), MOST_RETRY_SECS)
        return TooBusyError(f"server is at its limit: {text}; retry with backoff", usual * _spread())


class Place:
    """One call's place; leaves with the block."""

    def __init__(self, admission: Admission, since: float, coming: int | None) -> None:
        self._admission = admission
        self._size = 0
        self._since = since
        self._coming = coming  # the moment that it was let in, until its message is there

    def hold(self, size: int) -> None:
        """Count the message that was read; TooBusyError if there is no room for it."""
        self._arrive()
        self._admission.hold(size)
        self._size = size

    def _arrive(self) -> None:
        if self._coming is not None:
            self._admission.brought(self._coming)
            self._coming = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Leave it to others."""
        self._arrive()
        self._admission.leave(self._size, monotonic() - self._since)


def _spread() -> float:
    return random.uniform(0.75, 1.5)  # noqa: S311 - not a secret
