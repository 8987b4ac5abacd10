"""What a report shows beside losses: how members err together, how sure the scores are, each class.

Plain data, computed while the members' scores are at hand, kept with the version's evidence.
"""

from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blend import Blend
from .comparison import BINS, Decides, Judged, told_losses
from .objective import Matrix, Vector
from .sample import Sample
from .squared import SquaredLoss

# Rows, evenly spread, that correlations are computed on.
SAMPLE_ROWS = 20_000


def figures(
    sample: Sample, incumbent: Blend, learned: Blend, decides: Decides | None = None
) -> dict[str, Any]:
    """Return the figures for what was served before and after, on these rows. Null is infinite.

    {"error_correlation": {"members", "matrix"}, "classes": [{"name", "rows",
    "incumbent": {"log_loss", "accuracy"}, "learned": ...}], "reliability": {"incumbent": [{"rows",
    "confidence", "accuracy"}, one a bin that has rows], "learned": ...}}

    Labels are told in place of classes, with how many rows have them ("true"); so are values, with their
    "loss", if there are several, and nothing is said of how sure they are. "rows" and "true" are counts, all
    else is a mean in which rows weigh what the sample says.
    """
    predictions = sample.predictions
    correlation = {
        "members": list(predictions.members),
        "matrix": [[round(value, 4) for value in row] for row in error_correlation(sample).tolist()],
    }
    if predictions.targets is not None:
        return {"error_correlation": correlation} | _of_values(sample, incumbent, learned, decides)
    labels, truth = predictions.asked.parts(sample.place), sample.labels
    parts = labels.items() if labels else sample.by_class()
    classes: list[dict[str, Any]] = [
        {"name": name, "rows": int(rows.sum())} | ({"true": int(truth[rows].sum())} if labels else {})
        for name, rows in parts
    ]
    reliability = {}
    # One after the other: what one says of all rows is large.
    for which, blend in (("incumbent", incumbent), ("learned", learned)):
        reliability[which] = _told(sample, blend, classes, which)
    return {"error_correlation": correlation, "reliability": reliability, "classes": classes}


def _told(sample: Sample, blend: Blend, classes: list[dict[str, Any]], which: str) -> list[dict[str, float]]:
    """Put what `blend` comes to in each class under `which` there; return how sure it is."""
    judged, weights = Judged.of(sample, blend), _weights(sample)
    labels = sample.predictions.asked.parts(sample.place)
    parts = labels.items() if labels else sample.by_class()
    for told, (_, rows) in zip(classes, parts, strict=True):
        told[which] = _of_class(judged, rows, weights)
    return _reliability(judged, weights)


def _of_values(sample: Sample, incumbent: Blend, learned: Blend, decides: Decides | None) -> dict[str, Any]:
    """Return what each value's loss was before and after, where there are several."""
    losses = {
        which: told_losses(sample, blend, decides)
        for which, blend in (("incumbent", incumbent), ("learned", learned))
    }
    parts, weights = sample.predictions.asked.parts(sample.place), _weights(sample)
    return {
        "classes": [
            {"name": name, "rows": int(rows.sum())}
            | {
                which: {"loss": float(np.average(loss[rows], weights=weights[rows])), "accuracy": None}
                for which, loss in losses.items()
            }
            for name, rows in parts.items()
        ]
    }


def _weights(sample: Sample) -> Vector:
    return np.ones(sample.rows) if sample.weights is None else sample.weights


def error_correlation(sample: Sample) -> Matrix:
    """Return how alike the errors of each two members are, `[member, member]`: 1 is the same, 0 unrelated.

    The cosine of their errors (score minus truth, over all classes): averaging helps where it is low.
    """
    part = sample.thinned(SAMPLE_ROWS)
    products = np.zeros((sample.members, sample.members))
    for rows, given in part.blocks():
        scores, block = np.stack(list(given.values())), part.take(rows)
        if sample.predictions.targets is None:
            loss = SquaredLoss.brier(scores, block.labels, block.weights)
        else:
            loss = SquaredLoss.of(scores, block.targets[:, None], block.weights)
        products += loss.products
    size = np.sqrt(np.maximum(np.diag(products), np.finfo(float).tiny))
    correlation: Matrix = products / np.outer(size, size)
    # A member that never errs is like itself all the same.
    np.fill_diagonal(correlation, 1.0)
    return correlation


def _reliability(judged: Judged, weights: Vector) -> list[dict[str, float]]:
    """Return rows, mean top score and accuracy of each bin of top scores that has rows which count."""
    bins = np.clip((judged.confidence * BINS).astype(int), 0, BINS - 1).astype(np.uint8)
    return [
        {
            "rows": int(inside.sum()),
            "confidence": float(np.average(judged.confidence[inside], weights=weights[inside])),
            "accuracy": float(np.average(judged.right[inside], weights=weights[inside])),
        }
        for inside in (bins == index for index in range(BINS))
        if weights[inside].any()
    ]


def _of_class(judged: Judged, rows: NDArray[np.bool_], weights: Vector) -> dict[str, float | None]:
    """Return log-loss and accuracy on the rows of one class; null if none counts, or for infinite."""
    counted = rows & (weights > 0)
    if not counted.any():
        return {"log_loss": None, "accuracy": None}
    loss = float(np.average(judged.losses[counted], weights=weights[counted]))
    accuracy = float(np.average(judged.right[counted], weights=weights[counted]))
    return {"log_loss": loss if isfinite(loss) else None, "accuracy": accuracy}
