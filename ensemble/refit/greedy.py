"""Hill climbing for measures that have no slope: accuracy, F1, area under the ROC curve.

Starts at given weights, as if these had been picked one by one already, and picks one member more while that
helps. What comes out is never worse on the rows that it saw than what it started from.
"""

import numpy as np
from numpy.typing import NDArray

from .measures import Measure
from .objective import Vector

# The start counts as so many picks: each further one moves the weights by less than a twentieth.
START_PICKS = 20
ROUNDS = 60
# Picks without any gain, until the search is given up: one alone may not be enough to tip a row.
PATIENCE = 8


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
