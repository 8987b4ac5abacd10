"""What a way to run a model is tried on: do scores depend on the batch, and how long it takes."""

from collections.abc import Callable, Iterator
from time import perf_counter

import numpy as np

from ..member import Rows, Scores

# Rows in the trial batch, and the sizes of the smaller batches, which must give what it gave.
TRIAL_ROWS = 17
TRIAL_SIZES = (1, 2, 3, 5, 8, 16)
REPEATS = 5
# Repeats of what takes long are given up: its times are far apart, and a start waits for them.
LONGEST_SECS = 1.0


def spread(predict: Callable[[Rows], Scores], rows: Rows) -> float:
    """Try `TRIAL_ROWS` rows in smaller batches: how far scores moved at most, 0.0 if not by a bit."""
    together = predict(rows)
    return max(distance(predict(_cut(rows, *cut)), together[slice(*cut)]) for cut in _cuts())


def distance(some: Scores, others: Scores) -> float:
    """How far apart two arrays of scores are, relative above 1: 0.0 only if every bit is the same."""
    if some.tobytes() == others.tobytes():
        return 0.0
    with np.errstate(invalid="ignore"):
        apart = np.abs(some.astype(np.float64) - others.astype(np.float64)) / np.maximum(1, np.abs(others))
    # -0.0 and 0.0, or two kinds of NaN, differ in bits alone.
    return max(float(np.nan_to_num(apart, nan=np.inf).max()), float(np.finfo(np.float64).tiny))


def least_seconds(*works: Callable[[], object]) -> list[float]:
    """Time each of `works` in turn, some repeats: the least of them is what a busy machine disturbs least."""
    least = [float("inf")] * len(works)
    start = perf_counter()
    for _ in range(REPEATS):
        for index, work in enumerate(works):
            began = perf_counter()
            work()
            least[index] = min(least[index], perf_counter() - began)
        if perf_counter() - start > LONGEST_SECS:
            break
    return least


def _cut(rows: Rows, start: int, stop: int) -> Rows:
    return {name: array[start:stop] for name, array in rows.items()}


def _cuts() -> Iterator[tuple[int, int]]:
    """Return the trial batches: for each size, one after another, and the last rows."""
    for size in TRIAL_SIZES:
        for start in (*range(0, TRIAL_ROWS - size, size), TRIAL_ROWS - size):
            yield start, start + size
