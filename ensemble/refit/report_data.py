"""What a report shows beside losses: how members err together, how sure the scores are, each class.

Plain data, computed while the members' scores are at hand, kept with the version's evidence.
"""

from collections.abc import Iterator
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blend import Blend
from .comparison import BINS, Decides, Judged, told_losses
from .objective import Matrix
from .predictions import Predictions
from .sample import Sample
from .squared import SquaredLoss

# Rows whose scores are held in float64 at a time.
BLOCK_ROWS = 4096
# Rows, evenly spread, that correlations are computed on.
SAMPLE_ROWS = 20_000


def figures(
    predictions: Predictions, incumbent: Blend, learned: Blend, decides: Decides | None = None
) -> dict[str, Any]:
    """Return the figures for what was served before and after, on these rows. Null is infinite.

    {"error_correlation": {"members", "matrix"}, "classes": [{"name", "rows",
    "incumbent": {"log_loss", "accuracy"}, "learned": ...}], "reliability": {"incumbent": [{"rows",
    "confidence", "accuracy"}, one a bin that has rows], "learned": ...}}

    Labels are told in place of classes, with how many rows have them ("true"); so are values, with their
    "loss", if there are several, and nothing is said of how sure they are.
    """
    sample = Sample.of(predictions)
    correlation = {
        "members": list(predictions.members),
        "matrix": [[round(value, 4) for value in row] for row in error_correlation(predictions).tolist()],
    }
    if predictions.targets is not None:
        return {"error_correlation": correlation} | _of_values(sample, incumbent, learned, decides)
    before, after = Judged.of(sample, incumbent), Judged.of(sample, learned)
    labels = predictions.asked.parts(sample.place)
    classes = labels or {name: predictions.labels == index for index, name in enumerate(predictions.classes)}
    return {
        "error_correlation": correlation,
        "reliability": {"incumbent": _reliability(before), "learned": _reliability(after)},
        "classes": [
            {
                "name": name,
                "rows": int(rows.sum()),
                "incumbent": _of_class(before, rows),
                "learned": _of_class(after, rows),
            }
            | ({"true": int(predictions.labels[rows].sum())} if labels else {})
            for name, rows in classes.items()
        ],
    }


def _of_values(sample: Sample, incumbent: Blend, learned: Blend, decides: Decides | None) -> dict[str, Any]:
    """Return what each value's loss was before and after, where there are several."""
    losses = {
        which: told_losses(sample, blend, decides)
        for which, blend in (("incumbent", incumbent), ("learned", learned))
    }
    parts = sample.predictions.asked.parts(sample.place)
    return {
        "classes": [
            {"name": name, "rows": int(rows.sum())}
            | {which: {"loss": float(loss[rows].mean()), "accuracy": None} for which, loss in losses.items()}
            for name, rows in parts.items()
        ]
    }


def error_correlation(predictions: Predictions) -> Matrix:
    """Return how alike the errors of each two members are, `[member, member]`: 1 is the same, 0 unrelated.

    The cosine of their errors (score minus truth, over all classes): averaging helps where it is low.
    """
    total: SquaredLoss | None = None
    for rows in _blocks(predictions, sample=SAMPLE_ROWS):
        scores = np.stack([np.asarray(scores[rows]) for scores in predictions.scores])
        if predictions.targets is None:
            part = SquaredLoss.brier(scores, predictions.labels[rows])
        else:
            part = SquaredLoss.of(scores, predictions.targets[rows, None])
        total = part if total is None else total + part
    products = np.eye(len(predictions.members)) if total is None else total.products
    size = np.sqrt(np.maximum(np.diag(products), np.finfo(float).tiny))
    correlation: Matrix = products / np.outer(size, size)
    # A member that never errs is like itself all the same.
    np.fill_diagonal(correlation, 1.0)
    return correlation


def _reliability(judged: Judged) -> list[dict[str, float]]:
    """Return rows, mean top score and accuracy of each bin of top scores that has rows."""
    bins = np.clip((judged.confidence * BINS).astype(int), 0, BINS - 1)
    return [
        {
            "rows": int(inside.sum()),
            "confidence": float(judged.confidence[inside].mean()),
            "accuracy": float(judged.right[inside].mean()),
        }
        for inside in (bins == index for index in range(BINS))
        if inside.any()
    ]


def _of_class(judged: Judged, rows: NDArray[np.bool_]) -> dict[str, float | None]:
    """Return log-loss and accuracy on the rows of one class; null if it has none, or for infinite."""
    if not rows.any():
        return {"log_loss": None, "accuracy": None}
    loss = float(judged.losses[rows].mean())
    return {"log_loss": loss if isfinite(loss) else None, "accuracy": float(judged.right[rows].mean())}


def _blocks(predictions: Predictions, sample: int) -> Iterator[slice]:
    """Yield every n-th row, block by block, so that at most `sample` are left."""
    step = -(-predictions.rows // sample)
    for start in range(0, predictions.rows, BLOCK_ROWS * step):
        yield slice(start, min(start + BLOCK_ROWS * step, predictions.rows), step)
