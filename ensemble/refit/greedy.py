"""Hill climbing for measures that have no slope: accuracy, F1, area under the ROC curve.

Starts at given weights, as if these had been picked one by one already, and picks one member more while that
helps. What comes out is never worse on the rows that it saw than what it started from.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from .objective import Matrix, Vector

# Pooled scores [row, class], true classes [row] and row weights [row] -> the higher, the better.
Measure = Callable[[Matrix, NDArray[np.int64], Vector], float]

# The start counts as so many picks: each further one moves the weights by less than a twentieth.
START_PICKS = 20
ROUNDS = 60
# Picks without any gain, until the search is given up: one alone may not be enough to tip a row.
PATIENCE = 8


def accuracy(pooled: Matrix, labels: NDArray[np.int64], row_weights: Vector) -> float:
    """Return the share of rows whose highest score is the true class."""
    return float(row_weights @ (pooled.argmax(axis=1) == labels) / row_weights.sum())


def macro_f1(pooled: Matrix, labels: NDArray[np.int64], row_weights: Vector) -> float:
    """Return the mean over classes of F1, the harmonic mean of precision and recall.

    Classes that are neither true nor given in any row are left out.
    """
    classes, given = pooled.shape[1], pooled.argmax(axis=1)
    hits = np.bincount(labels[given == labels], row_weights[given == labels], classes)
    seen = np.bincount(labels, row_weights, classes) + np.bincount(given, row_weights, classes)
    return float((2 * hits[seen > 0] / seen[seen > 0]).mean())


def area_under_roc(pooled: Matrix, labels: NDArray[np.int64], row_weights: Vector) -> float:
    """Return how often a row of a class gets a higher score for it than another row: one class against all.

    The mean over the classes that some rows are of and some aren't, by their rows; ties count half. Of two
    classes the second alone is looked at. Row weights say only which rows count: those of zero don't.
    """
    counted = row_weights > 0
    pooled, labels = pooled[counted], labels[counted]
    areas, sizes = [], []
    for index in range(pooled.shape[1]) if pooled.shape[1] > 2 else (1,):  # noqa: PLR2004 - two classes
        inside = labels == index
        positives, negatives = int(inside.sum()), int((~inside).sum())
        if positives and negatives:
            ranks = rankdata(pooled[:, index])[inside].sum()
            areas.append((ranks - positives * (positives + 1) / 2) / (positives * negatives))
            sizes.append(positives)
    return float(np.average(areas, weights=sizes)) if areas else float("nan")


MEASURES: dict[str, Measure] = {"accuracy": accuracy, "f1": macro_f1, "auc": area_under_roc}


def climb(
    scores: NDArray[np.floating],
    labels: NDArray[np.int64],
    measure: Measure,
    start: Vector,
    row_weights: Vector | None = None,
) -> Vector:
    """Return weights whose averaged scores `measure` likes best, of all on the way from `start`.

    `scores` are `[member, row, class]`. Of members that help alike, the first is picked.
    """
    counted = np.ones(len(labels)) if row_weights is None else row_weights
    picks = START_PICKS * start / start.sum()
    total = np.tensordot(picks, scores, axes=1).astype(np.float64)
    best, weights, waited = measure(total, labels, counted), picks, 0
    for _ in range(ROUNDS):
        found = [measure(total + score, labels, counted) for score in scores]
        member = int(np.argmax(found))
        total += scores[member]
        picks = picks + np.eye(len(scores))[member]
        # Strictly better: of weights that do as well, those nearer the start are the better bet.
        if found[member] > best:
            best, weights, waited = found[member], picks, 0
        else:
            waited += 1
        if waited == PATIENCE:
            break
    return np.asarray(weights / weights.sum(), dtype=np.float64)
