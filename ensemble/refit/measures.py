"""Measures of labelled rows that have no slope: accuracy, F1, the area under the ROC curve.

F1 and the area are no means over rows. To be judged fold by fold and tested in pairs they are taken apart
into what each row adds: the measure itself plus the row's influence on it (its derivative by the row's share
of the weight), whose weighted mean is the measure, exactly, and whose spread is that of its error: for the
area, DeLong's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .objective import Matrix, Vector

Labels = NDArray[np.int64]
# Pooled scores [row, class], true classes [row] and row weights [row], >= 0 and not all zero -> what each row
# adds, [row]; their weighted mean is the measure: the higher, the better. Nothing where it isn't defined.
Parts = Callable[[Matrix, Labels, Vector], Vector | None]


@dataclass(frozen=True, slots=True)
class Measure:
    """One of them: what people call one less it, which is a loss, and how it falls into rows."""

    loss: str
    parts: Parts

    def __call__(self, pooled: Matrix, labels: Labels, row_weights: Vector) -> float:
        """Return the measure; not a number where it isn't defined."""
        found = self.parts(pooled, labels, row_weights)
        return float("nan") if found is None else float(row_weights @ found / row_weights.sum())


def _accuracy(pooled: Matrix, labels: Labels, row_weights: Vector) -> Vector:  # noqa: ARG001 - as the others
    """Give 1 for each row whose highest score is the true class."""
    right: Vector = (pooled.argmax(axis=1) == labels).astype(np.float64)
    return right


def _macro_f1(pooled: Matrix, labels: Labels, row_weights: Vector) -> Vector:
    """Take apart the mean over classes of F1, the harmonic mean of precision and recall.

    Classes that are neither true nor given in any row are left out.
    """
    classes, given = pooled.shape[1], pooled.argmax(axis=1)
    right, shares = given == labels, row_weights / row_weights.sum()
    hits = np.bincount(labels[right], shares[right], classes)
    seen = np.bincount(labels, shares, classes) + np.bincount(given, shares, classes)
    counted = seen > 0
    f1 = np.divide(2 * hits, seen, where=counted, out=np.zeros(classes))
    per_sight = np.divide(1, seen, where=counted, out=np.zeros(classes))
    # By a row of class t given g: (2 hit - F1 * (sights)) / seen, class by class.
    pull = 2 * right * per_sight[labels] - (f1 * per_sight)[labels] - (f1 * per_sight)[given]
    return np.asarray((f1.sum() + pull) / counted.sum(), dtype=np.float64)


def _area_under_roc(pooled: Matrix, labels: Labels, row_weights: Vector) -> Vector | None:
    """Take apart how often a row of a class gets a higher score for it than another row, ties counting half.

    One class against all; the mean over the classes that some rows are of and some aren't, by their rows. Of
    two classes the second alone is looked at.
    """
    found, total = np.zeros(len(labels)), 0.0
    whole = float(row_weights.sum())
    for index in range(pooled.shape[1]) if pooled.shape[1] > 2 else (1,):  # noqa: PLR2004 - two classes
        inside = np.where(labels == index, row_weights, 0)
        outside = row_weights - inside
        size, rest = float(inside.sum()), float(outside.sum())
        if size <= 0 or rest <= 0:
            continue
        placed = _placements(pooled[:, index], inside, outside)
        area = float(inside @ placed) / size
        share = np.where(labels == index, whole / size, whole / rest)
        found += size * (area + share * (placed - area))
        total += size
    return found / total if total else None


def _placements(scores: Vector, inside: Vector, outside: Vector) -> Vector:
    """Return what share of the other side each row is on the right side of."""
    rank = np.unique(scores, return_inverse=True)[1]
    ins, outs = np.bincount(rank, inside), np.bincount(rank, outside)
    below = np.cumsum(outs) - outs / 2
    above = ins.sum() - np.cumsum(ins) + ins / 2
    placed: Vector = np.where(inside > 0, below[rank] / outs.sum(), above[rank] / ins.sum())
    return placed


MEASURES: Mapping[str, Measure] = {
    "accuracy": Measure("error rate", _accuracy),
    "f1": Measure("1 - macro F1", _macro_f1),
    "auc": Measure("1 - AUC", _area_under_roc),
}
