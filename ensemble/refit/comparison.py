"""How good each weighting is on some labelled rows, and how sure the differences are."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .objective import Matrix, Vector
from .predictions import Predictions

# Bins of equal width for the expected calibration error.
BINS = 15
# Rows whose averaged scores are held at a time.
BLOCK_ROWS = 8192


@dataclass(frozen=True, slots=True)
class Losses:
    """How good scores are on labelled rows."""

    log_loss: float  # nats a row; infinite if a true class got a score of zero
    accuracy: float  # share of rows whose highest score is the true class
    calibration_error: float  # expected difference of confidence and accuracy, over 15 equal bins
    standard_error: float = float("nan")  # of the log-loss; not a number where it is infinite


@dataclass(frozen=True, slots=True)
class Gain:
    """By how much the learned weights' loss is lower than another's, in nats a row, on the same rows."""

    mean: float
    standard_error: float  # not a number where a loss is infinite


@dataclass(frozen=True, slots=True)
class Contenders:
    """The weightings to compare, `[member]` each, and which member is the best single one."""

    incumbent: Vector
    learned: Vector
    best_single: str  # chosen on validation rows, wherever it is then judged


@dataclass(frozen=True, slots=True)
class Comparison:
    """Losses of each member alone and of each weighting, on one dataset."""

    digest: str  # sha256 of the data
    rows: int
    members: Mapping[str, Losses]
    best_single: str
    uniform: Losses
    incumbent: Losses
    learned: Losses
    gains: Mapping[str, Gain]  # over "uniform", "best_single" and "incumbent"

    def to_json(self) -> dict[str, Any]:
        """Return the form that evidence holds: data, losses, gains and more.

        `losses`, `standard_errors`, `accuracy` and `calibration_error` share one shape:
        {"members": {name: x}, "uniform": x, "best_single": {"member": name, "loss": x}, "incumbent": x,
        "learned": x}. Null is infinite.
        """
        return {
            "data": {"digest": self.digest, "rows": self.rows},
            "losses": self._of("log_loss"),
            "standard_errors": self._of("standard_error"),
            "accuracy": self._of("accuracy"),
            "calibration_error": self._of("calibration_error"),
            "gains": {
                name: {"mean": _json(gain.mean), "standard_error": _json(gain.standard_error)}
                for name, gain in self.gains.items()
            },
        }

    def _of(self, measure: str) -> dict[str, Any]:
        def value(losses: Losses) -> float | None:
            return _json(getattr(losses, measure))

        return {
            "members": {name: value(losses) for name, losses in self.members.items()},
            "uniform": value(self.uniform),
            "best_single": {"member": self.best_single, "loss": value(self.members[self.best_single])},
            "incumbent": value(self.incumbent),
            "learned": value(self.learned),
        }


def compare(predictions: Predictions, contenders: Contenders, digest: str) -> Comparison:
    """Judge every member and every weighting on the rows of `predictions`."""
    members = predictions.members
    single = dict(zip(members, np.eye(len(members)), strict=True))
    best = single[contenders.best_single]
    uniform = np.full(len(members), 1 / len(members))
    others = {"uniform": uniform, "best_single": best, "incumbent": contenders.incumbent}
    true_class = predictions.true_class_scores()
    learned = row_losses(true_class, contenders.learned)
    return Comparison(
        digest=digest,
        rows=predictions.rows,
        members={name: losses_of(predictions, weights) for name, weights in single.items()},
        best_single=contenders.best_single,
        uniform=losses_of(predictions, uniform),
        incumbent=losses_of(predictions, contenders.incumbent),
        learned=losses_of(predictions, contenders.learned),
        gains={name: gain(row_losses(true_class, weights), learned) for name, weights in others.items()},
    )


def best_single(predictions: Predictions) -> str:
    """Return the member whose log-loss alone is the least; the first of those that are alike.

    Where every member's is infinite, the one that gives a true class a score of zero least often.
    """
    true_class = predictions.true_class_scores()
    losses = [row_losses(true_class, one) for one in np.eye(len(predictions.members))]
    ranks = [
        (int(np.isinf(loss).sum()), float(loss[np.isfinite(loss)].sum()), index)
        for index, loss in enumerate(losses)
    ]
    return predictions.members[min(ranks)[2]]


def row_losses(true_class_scores: Matrix, weights: Vector) -> Vector:
    """Return each row's log-loss, in nats, given scores `[row, member]`."""
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log(true_class_scores @ weights), dtype=np.float64)


def gain(before: Vector, after: Vector) -> Gain:
    """Return the mean of `before - after`, row by row, and its standard error."""
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        return Gain(float(before.mean()) - float(after.mean()), float("nan"))
    difference = before - after
    spread = float(difference.std(ddof=1)) if len(difference) > 1 else float("nan")
    return Gain(float(difference.mean()), spread / float(np.sqrt(len(difference))))


def losses_of(predictions: Predictions, weights: Vector) -> Losses:
    """Judge the weighted average of the members' scores."""
    used = np.flatnonzero(weights)
    confidence, right = np.empty(predictions.rows), np.empty(predictions.rows, dtype=bool)
    for start in range(0, predictions.rows, BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        pooled = sum(weights[index] * predictions.scores[index][block].astype(np.float64) for index in used)
        pooled = np.asarray(pooled)
        confidence[block] = pooled.max(axis=1)
        right[block] = pooled.argmax(axis=1) == predictions.labels[block]
    losses = row_losses(predictions.true_class_scores(), weights)
    error = gain(losses, np.zeros_like(losses)).standard_error
    return Losses(float(losses.mean()), float(right.mean()), calibration_error(confidence, right), error)


def calibration_error(confidence: Vector, right: NDArray[np.bool_]) -> float:
    """Return the mean over rows of |accuracy - confidence| of the row's bin of confidence."""
    bins = np.clip((confidence * BINS).astype(int), 0, BINS - 1)
    excess = np.bincount(bins, weights=right - confidence, minlength=BINS)
    return float(np.abs(excess).sum() / len(confidence))


def _json(value: float) -> float | None:
    return value if isfinite(value) else None
