"""Losses on rows that took no part in the fit: what a procedure is worth, not what it says of itself."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from .objective import Matrix, Vector

# A held-out row's loss counts as at most this many nats: one impossible row shall not outvote all others.
LOSS_CAP = 27.6


def folds_of(rows: int, count: int, seed: int = 0) -> NDArray[np.int64]:
    """Return which of `count` folds each row belongs to: at random, of sizes that differ by one at most."""
    fold = np.arange(rows, dtype=np.int64) % min(count, rows)
    return np.random.default_rng(seed).permutation(fold)


def held_out_losses(
    scores: Matrix, folds: NDArray[np.int64], fit: Callable[[Matrix], Mapping[str, Vector]]
) -> dict[str, Vector]:
    """Return each row's log-loss, by name of what `fit` fits, with weights fitted without the row's fold.

    `scores` are true-class scores `[row, member]`; `fit` gets the other folds' rows. Losses are capped.
    """
    losses: dict[str, Vector] = {}
    for fold in np.unique(folds):
        inside = folds == fold
        for name, weights in fit(scores[~inside]).items():
            losses.setdefault(name, np.empty(len(scores)))[inside] = capped_losses(scores[inside], weights)
    return losses


def capped_losses(scores: Matrix, weights: Vector) -> Vector:
    """Return each row's log-loss in nats, at most `LOSS_CAP`."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.minimum(-np.log(scores @ weights), LOSS_CAP), dtype=np.float64)
