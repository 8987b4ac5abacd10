"""Losses on rows that took no part in the fit: what a procedure is worth, not what it says of itself."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .blend import Blend
from .objective import Vector
from .sample import Places, Sample

# A held-out row's loss counts as at most this many nats: one impossible row shall not outvote all others.
LOSS_CAP = 27.6

RowLosses = Callable[[Sample, Blend], Vector]


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Which rows to fit on, and which others to judge on: a byte a row each."""

    fits: NDArray[np.bool_]
    judges: NDArray[np.bool_]

    @property
    def fitted(self) -> Places:
        """The rows to fit on, in order."""
        return np.flatnonzero(self.fits)

    @property
    def judged(self) -> Places:
        """The rows to judge on, in order."""
        return np.flatnonzero(self.judges)


def folds_of(rows: int, count: int, seed: int = 0) -> Places:
    """Return which of `count` folds each row belongs to: at random, of sizes that differ by one at most."""
    fold = np.arange(rows, dtype=np.int64) % min(count, rows)
    return np.random.default_rng(seed).permutation(fold)


def splits_of(sample: Sample, count: int, seed: int = 0) -> tuple[Split, ...]:
    """Split rows into `count` folds, each judged once by a fit to the others; none if there is but one group.

    Rows of one group are never in two folds. Of rows in time, each part is judged by what came before it;
    nothing judges the first.
    """
    if sample.groups is None:
        folds = folds_of(sample.rows, count, seed)
    else:
        groups, inverse = np.unique(sample.groups, return_inverse=True)
        if sample.in_time:
            return _forward(np.asarray(inverse * (count + 1) // len(groups), dtype=np.int64))
        folds = _of_groups(np.bincount(inverse), count, seed)[inverse]
    return _without_empty((folds != fold, folds == fold) for fold in np.unique(folds))


def judged_rows(splits: Sequence[Split]) -> Places:
    """Return the rows that some split judges, in order."""
    return np.sort(np.concatenate([split.judged for split in splits]))


def held_out_losses(
    sample: Sample,
    splits: Sequence[Split],
    fit: Callable[[Sample], Mapping[str, Blend]],
    losses: RowLosses | None = None,
) -> dict[str, Vector]:
    """Return each row's loss, by name of what `fit` fits, when the row took no part in the fit.

    Not a number for rows that no split judges. The loss is the capped log-loss unless another is given.
    """
    losses = losses or capped_losses
    found: dict[str, Vector] = {}
    for split in splits:
        judged = sample.take(split.judged)
        for name, blend in fit(sample.take(split.fitted)).items():
            found.setdefault(name, np.full(sample.rows, np.nan))[split.judges] = losses(judged, blend)
    return found


def capped_losses(sample: Sample, blend: Blend) -> Vector:
    """Return each row's log-loss in nats, at most `LOSS_CAP`."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.minimum(-np.log(sample.true_class_scores(blend)), LOSS_CAP), dtype=np.float64)


def _of_groups(sizes: NDArray[np.int64], count: int, seed: int) -> Places:
    """Return the fold of each group: the largest first, each to the fold that has the fewest rows."""
    folds, filled = np.empty(len(sizes), dtype=np.int64), np.zeros(min(count, len(sizes)))
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        folds[group] = int(np.argmin(filled))
        filled[folds[group]] += sizes[group]
    return folds


def _forward(parts: Places) -> tuple[Split, ...]:
    return _without_empty((parts < part, parts == part) for part in np.unique(parts))


def _without_empty(parts: Iterable[tuple[NDArray[np.bool_], NDArray[np.bool_]]]) -> tuple[Split, ...]:
    return tuple(Split(fitted, judged) for fitted, judged in parts if fitted.any() and judged.any())
