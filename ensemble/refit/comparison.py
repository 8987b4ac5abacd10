"""How good each weighting is on some labelled rows, and how sure the differences are."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidRequestError
from .blend import Blend
from .objective import Vector
from .predictions import Predictions
from .sample import Sample, mean_and_error

# Bins of equal width for the expected calibration error.
BINS = 15
# What isn't known. One object, so that what lacks it is equal to itself.
UNKNOWN = nan


LOG_LOSS = "log-loss"
# What else is told of scores, by whether they are values.
OF_CLASSES = ("accuracy", "calibration_error", "brier")
OF_VALUES = ("mean_absolute_error", "r_squared", "share_below")


@dataclass(frozen=True, slots=True)
class Losses:
    """How good scores are on labelled rows. What isn't told of such scores is not a number."""

    loss: float  # log-loss, nats a row, infinite if a true class got a score of zero; of values, what decides
    accuracy: float = UNKNOWN  # share of rows whose highest score is the true class
    calibration_error: float = UNKNOWN  # expected difference of confidence and accuracy, over 15 equal bins
    standard_error: float = UNKNOWN  # of the loss; not a number where it is infinite
    brier: float = UNKNOWN  # squared distance of the scores from the true class, added up over classes
    decides: float = UNKNOWN  # the loss that decides, where it is none of these
    mean_absolute_error: float = UNKNOWN
    r_squared: float = UNKNOWN  # 1 - mean squared error / the targets' variance
    share_below: float = UNKNOWN  # of the targets, at or below the score


@dataclass(frozen=True, slots=True)
class Gain:
    """By how much the learned weights' loss is lower than another's, on the same rows."""

    mean: float
    standard_error: float  # not a number where a loss is infinite


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What one blend says of each row: log-loss, squared error, top score, and whether that is right."""

    losses: Vector
    squares: Vector
    confidence: Vector
    right: NDArray[np.bool_]

    @classmethod
    def of(cls, sample: Sample, blend: Blend) -> Self:
        """Pool the scores of every row."""
        labels, pool = sample.labels, blend.pool(sample.predictions.members)
        squares, confidence = np.empty(sample.rows), np.empty(sample.rows)
        right = np.empty(sample.rows, dtype=bool)
        for rows, scores in sample.blocks(blend.voters):
            pooled = pool.exact(scores)
            confidence[rows], right[rows] = pooled.max(axis=1), pooled.argmax(axis=1) == labels[rows]
            pooled[np.arange(len(pooled)), labels[rows]] -= 1
            squares[rows] = (pooled * pooled).sum(axis=1)
        return cls(row_losses(sample, blend), squares, confidence, right)


class Decides(Protocol):
    """A loss of a row beside those that are always told, and what it is called."""

    @property
    def measure(self) -> str:
        """What people call it."""
        ...

    def losses(self, sample: Sample, blend: Blend) -> Vector:
        """Return each row's loss, finite."""
        ...


@dataclass(frozen=True, slots=True)
class Contenders:
    """What to compare, and which member is the best single one."""

    incumbent: Blend
    learned: Blend
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
    decides: str | None = None  # what the loss that decides is called, where it is none of the others
    loss: str = LOG_LOSS  # what the loss that is always told is called

    @property
    def told(self) -> tuple[str, ...]:
        """What is told beside the loss, as fields of `Losses`."""
        return OF_CLASSES if self.loss == LOG_LOSS else OF_VALUES

    def to_json(self) -> dict[str, Any]:
        """Return the form that evidence holds: data, losses, gains and more.

        `losses`, `standard_errors`, `accuracy`, `calibration_error` and `brier` share one shape:
        {"members": {name: x}, "uniform": x, "best_single": {"member": name, "loss": x}, "incumbent": x,
        "learned": x}. Null is infinite. So does "decides", if there is one, and its name is "measure".
        Of values `losses` are of what "loss" names, and `OF_VALUES` stand where the figures of classes do.
        """
        return self._decides() | {
            **({} if self.loss == LOG_LOSS else {"loss": self.loss}),
            "data": {"digest": self.digest, "rows": self.rows},
            "losses": self._of("loss"),
            "standard_errors": self._of("standard_error"),
            **{figure: self._of(figure) for figure in self.told},
            "gains": {
                name: {"mean": _json(gain.mean), "standard_error": _json(gain.standard_error)}
                for name, gain in self.gains.items()
            },
        }

    def _decides(self) -> dict[str, Any]:
        return {} if self.decides is None else {"measure": self.decides, "decides": self._of("decides")}

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


def compare(
    rows: Predictions | Sample, contenders: Contenders, digest: str, decides: Decides | None = None
) -> Comparison:
    """Judge every member and every weighting on some rows; of values, by what `decides`."""
    sample = rows if isinstance(rows, Sample) else Sample.of(rows)
    members = sample.predictions.members
    single = {name: Blend.alone(index, len(members)) for index, name in enumerate(members)}
    others = {
        "uniform": Blend.uniform(len(members)),
        "best_single": single[contenders.best_single],
        "incumbent": contenders.incumbent,
    }
    values = sample.predictions.targets is not None

    def losses(blend: Blend) -> Vector:
        return told_losses(sample, blend, decides)

    learned = losses(contenders.learned)
    return Comparison(
        digest=digest,
        rows=sample.predictions.data_rows,
        members={name: losses_of(sample, blend, decides) for name, blend in single.items()},
        best_single=contenders.best_single,
        uniform=losses_of(sample, others["uniform"], decides),
        incumbent=losses_of(sample, contenders.incumbent, decides),
        learned=losses_of(sample, contenders.learned, decides),
        gains={name: gain(losses(blend), learned, sample) for name, blend in others.items()},
        decides=None if decides is None or values else decides.measure,
        loss=decides.measure if decides is not None and values else LOG_LOSS,
    )


def best_single(rows: Predictions | Sample, decides: Decides | None = None) -> str:
    """Return the member whose loss alone is the least; the first of those that are alike.

    Where every member's is infinite, the one that gives a true class a score of zero least often.
    """
    sample = rows if isinstance(rows, Sample) else Sample.of(rows)
    weights = np.ones(sample.rows) if sample.weights is None else sample.weights
    ranks = []
    for index in range(sample.members):
        loss = told_losses(sample, Blend.alone(index, sample.members), decides)
        finite = np.isfinite(loss)
        ranks.append((float(weights[~finite].sum()), float(weights[finite] @ loss[finite]), index))
    return sample.predictions.members[min(ranks)[2]]


def told_losses(sample: Sample, blend: Blend, decides: Decides | None) -> Vector:
    """Return each row's loss, the one that is always told: the log-loss, or what decides about values."""
    if sample.predictions.targets is None:
        return row_losses(sample, blend)
    if decides is None:
        raise InvalidRequestError("values have no log-loss: say which loss decides")
    return decides.losses(sample, blend)


def row_losses(sample: Sample, blend: Blend) -> Vector:
    """Return each row's log-loss, in nats; infinite where its true class gets a score of zero."""
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log(sample.true_class_scores(blend)), dtype=np.float64)


def gain(before: Vector, after: Vector, sample: Sample | None = None) -> Gain:
    """Return the mean of `before - after`, row by row, and its standard error.

    `sample` says how much the rows count, and which of them belong together.
    """
    weights, clusters = (None, None) if sample is None else (sample.weights, sample.clusters)
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        return Gain(_mean(before, weights) - _mean(after, weights), float("nan"))
    return Gain(*mean_and_error(before - after, weights, clusters))


def losses_of(sample: Sample, blend: Blend, decides: Decides | None = None) -> Losses:
    """Judge what `blend` makes of the members' scores."""
    if sample.predictions.targets is not None:
        return _losses_of_values(sample, blend, told_losses(sample, blend, decides))
    judged, weights = Judged.of(sample, blend), sample.weights
    return Losses(
        _mean(judged.losses, weights),
        _mean(judged.right.astype(np.float64), weights),
        calibration_error(judged.confidence, judged.right, weights),
        gain(judged.losses, np.zeros(sample.rows), sample).standard_error,
        _mean(judged.squares, weights),
        UNKNOWN if decides is None else _mean(decides.losses(sample, blend), weights),
    )


def _losses_of_values(sample: Sample, blend: Blend, losses: Vector) -> Losses:
    weights, targets, given = sample.weights, sample.targets, sample.true_class @ blend.weights
    spread = _mean((targets - _mean(targets, weights)) ** 2, weights)
    error = _mean((given - targets) ** 2, weights)
    return Losses(
        _mean(losses, weights),
        standard_error=gain(losses, np.zeros(sample.rows), sample).standard_error,
        mean_absolute_error=_mean(np.abs(given - targets), weights),
        r_squared=1 - error / spread if spread > 0 else UNKNOWN,
        share_below=_mean((targets <= given).astype(np.float64), weights),
    )


def calibration_error(confidence: Vector, right: NDArray[np.bool_], weights: Vector | None = None) -> float:
    """Return the mean over rows of |accuracy - confidence| of the row's bin of confidence."""
    shares = np.full(len(right), 1 / len(right)) if weights is None else weights / weights.sum()
    bins = np.clip((confidence * BINS).astype(int), 0, BINS - 1)
    excess = np.bincount(bins, weights=shares * (right - confidence), minlength=BINS)
    return float(np.abs(excess).sum())


def _mean(values: Vector, weights: Vector | None) -> float:
    # Plain where rows are alike: a weighed sum of infinities and zeros is not a number.
    return float(values.mean()) if weights is None else float(np.average(values, weights=weights))


def _json(value: float) -> float | None:
    return value if isfinite(value) else None
