"""How many rows a batch of an ensemble should hold: as many as still make the rows quicker.

Larger batches only make callers wait for rows that are not theirs.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from ..errors import EnsembleError
from ..member import Rows
from ..signature import Signature
from .measurements import Measurements
from .sample import random_rows
from .trial import least_seconds

# What is taken where nothing can be measured: rows that can't be made up, members that fail on them.
UNMEASURED = 64
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SURE_FROM = 64
# A batch is large enough when its rows come this near to the best rate.
ENOUGH = 0.95
# What a batch costs beside its members: two threads wake each other, scores are pooled and counted.
OVERHEAD_SECS = 0.0002
# Nobody should wait longer for a batch of others, and a start shouldn't for the trial.
LONGEST_SECS = 0.25


@dataclass(frozen=True, slots=True)
class BatchSize:
    """How many rows a batch should hold at most; and how many seconds batches of which sizes took."""

    rows: int
    seconds: Mapping[int, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the form that is kept."""
        return {"rows": self.rows, "seconds": {str(size): taken for size, taken in self.seconds.items()}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        seconds = {int(size): float(taken) for size, taken in data["seconds"].items()}
        return cls(int(data["rows"]), seconds)


def batch_size(
    measurements: Measurements, facts: Iterable[str], signature: Signature, run: Callable[[Rows], object]
) -> BatchSize:
    """Return the batch size for `run`, which takes rows of `signature`: that kept for `facts`, or a new."""

    def measure() -> BatchSize:
        try:
            seconds = _timed(signature, run)
        except EnsembleError:
            return BatchSize(UNMEASURED)
        return BatchSize(enough(seconds), seconds)

    return measurements.measured(["batch size", *facts], measure, BatchSize.from_json)


def enough(seconds: Mapping[int, float]) -> int:
    """Return the smallest batch whose rows come at nearly the best rate; `seconds` by rows in a batch."""
    rates = _rates(seconds)
    best = max(rates.values())
    return min(size for size, rate in rates.items() if rate >= ENOUGH * best)


def _timed(signature: Signature, run: Callable[[Rows], object]) -> dict[int, float]:
    """Time larger and larger batches, while rows come quicker and nobody would wait too long."""
    seconds: dict[int, float] = {}
    for size in SIZES:
        rows = random_rows(signature, size)
        try:
            run(rows)  # The first batch of a size allocates.
        except EnsembleError:
            # Where smaller ones passed, it is too large: for the memory of a GPU, say.
            if not seconds:
                raise
            break
        [seconds[size]] = least_seconds(lambda rows=rows: run(rows))  # type: ignore[misc]
        rates = _rates(seconds)
        # A start waits for this: four times the rows that are no quicker say that more would not be either.
        # The times of small batches are too short to be sure of that on a busy machine.
        levelled = size >= SURE_FROM and ENOUGH * rates[size] < rates[size // 4]
        if levelled or seconds[size] * 2 > LONGEST_SECS:
            break
    return seconds


def _rates(seconds: Mapping[int, float]) -> dict[int, float]:
    """Return rows a second, by rows in a batch."""
    return {size: size / (taken + OVERHEAD_SECS) for size, taken in seconds.items()}
