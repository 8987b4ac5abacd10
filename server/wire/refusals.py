"""Refusals for want of room, each told to many and counted with others: that takes longer than to decide."""

import asyncio
from collections.abc import Callable
from typing import Protocol

import grpc

from ensemble.errors import EnsembleError

from .admission import TooBusyError
from .gate import Gate
from .method import Method
from .outcome import Outcome
from .status import retry_hint, status_of

# For so long what a refusal says is true enough.
FRESH_SECS = 0.05
# With as many different hints: those who are refused together must not come again together.
DIFFERENT = 16
FULL = grpc.StatusCode.RESOURCE_EXHAUSTED
# For so long whoever asks as the last one did finds no room either.
SURE_SECS = 0.0005
# Refusals that follow one another are counted so much later, together.
COUNT_SECS = 0.01


class Observer(Protocol):
    """Who hears of finished calls, as `calls.Observer` says."""

    def handled(
        self, *, method: str, model: str, version: str, code: str, seconds: float, calls: int = 1
    ) -> None:
        """Take note of so many calls."""
        ...


class Refusal(Outcome):
    """An outcome that is told apart by what it is, not by what it says: that is quicker."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        """Say whether it is the same."""
        return self is other


class Door:
    """Refuses calls by what they begin with. Used on the event loop."""

    def __init__(self, gate: Gate, observer: Observer) -> None:
        self._gate, self._observer = gate, observer
        self._refusals = Refusals(gate.admission.refusal)
        self._loop = asyncio.get_running_loop()
        self._last: tuple[Method, str] | None = None  # the method, and what its calls lacked
        self._sure, self._sure_until = ("", ""), 0.0  # who asked for that, and until when it is true
        self._more = 0  # calls of which the same is true, and that aren't counted yet

    def ask(self, method: Method, authorization: str) -> Outcome | None:
        """Refuse a call for which there is no room; None if it is to be answered, or refused otherwise."""
        now = self._loop.time()
        if self._last is not None and now < self._sure_until and self._sure == (method.name, authorization):
            self._more += 1
            return self._refusals.of(self._last[1], now)
        try:
            lacking = self._gate.lacks(method, authorization)
        except EnsembleError:
            return None
        if not lacking:
            return None
        if self._last == (method, lacking):
            self._more += 1
        else:
            self._count(method, lacking, 1)
        if self._last is None:
            self._last = method, lacking
            self._loop.call_later(COUNT_SECS, self._count_more)
        if self._last == (method, lacking):
            self._sure, self._sure_until = (method.name, authorization), now + SURE_SECS
        return self._refusals.of(lacking, now)

    def _count_more(self) -> None:
        if self._last is not None and self._more:
            self._count(*self._last, self._more)
        self._last, self._more = None, 0

    def _count(self, method: Method, lacking: str, calls: int) -> None:
        self._gate.admission.turn_away(lacking, waits=method.scores, calls=calls)
        self._observer.handled(
            method=method.name, model="", version="", code=FULL.name, seconds=0, calls=calls
        )


class Refusals:
    """Outcomes by what is lacking, as `refusal` tells of it. Knows no clock."""

    def __init__(self, refusal: Callable[[str], TooBusyError]) -> None:
        self._refusal = refusal
        self._written: dict[str, _Written] = {}

    def of(self, lacking: str, now: float) -> Outcome:
        """Return one that is no older than `FRESH_SECS`."""
        written = self._written.get(lacking)
        if written is None or now - written.since > FRESH_SECS:
            written = self._written[lacking] = _Written(now)
        return written.next(lambda: self._refusal(lacking))


class _Written:
    """Refusals of one moment, in turn."""

    def __init__(self, since: float) -> None:
        self.since = since
        self._outcomes: list[Outcome] = []
        self._at = 0

    def next(self, refusal: Callable[[], TooBusyError]) -> Outcome:
        if len(self._outcomes) < DIFFERENT:
            error = refusal()
            self._outcomes.append(Refusal(*status_of(error), trailing=retry_hint(error)))
            return self._outcomes[-1]
        self._at = (self._at + 1) % DIFFERENT
        return self._outcomes[self._at]
