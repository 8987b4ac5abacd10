"""Refusals for want of room, each told to many: writing one takes longer than the rest of refusing a call."""

from collections.abc import Callable

import grpc

from .admission import TooBusyError
from .outcome import Outcome
from .status import retry_hint, status_of

# For so long what a refusal says is true enough.
FRESH_SECS = 0.05
# With as many different hints: those who are refused together must not come again together.
DIFFERENT = 16
FULL = grpc.StatusCode.RESOURCE_EXHAUSTED


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
            self._outcomes.append(Outcome(*status_of(error), trailing=retry_hint(error)))
            return self._outcomes[-1]
        self._at = (self._at + 1) % DIFFERENT
        return self._outcomes[self._at]
