"""What a refit is after: which loss of a row counts, and which weighted average makes its mean small.

Log-loss is the default: it asks for honest probabilities, and its least is certified. The Brier score's is
too. Accuracy, F1 and the area under the ROC curve have no slope to follow: their weights are found by hill
climbing from those of the least log-loss, and certified by nothing. Values have losses of their own: the
squared error, or for quantiles the pinball loss.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..errors import InvalidRequestError
from ..truth import Truth
from .blend import Blend
from .comparison import Judged
from .crossfit import capped_losses
from .greedy import climb
from .measures import MEASURES, Measure
from .newton import newton
from .objective import LogLoss, Vector, gap_of
from .pinball import PinballLoss, solve_pinball
from .sample import Sample
from .solver import Solution, SolverOptions, solve, solve_squared
from .squared import SquaredLoss

# How exactly weights are fitted that only serve to compare candidates, in nats.
ROUGH = 1e-6


class Aim(Protocol):
    """A loss of a row, and how the average of the least mean loss is found."""

    @property
    def measure(self) -> str:
        """What people call it, with its unit."""
        ...

    def losses(self, sample: Sample, blend: Blend) -> Vector:
        """Return each row's loss, finite."""
        ...

    def at(self, sample: Sample, weights: Vector) -> tuple[float, Vector]:
        """Return the loss of an average, and its slope in the weights; the log-loss if this has no slope."""
        ...

    def rough(self, sample: Sample, start: Vector) -> Vector:
        """Return weights that are good enough to compare by."""
        ...

    def solve(self, sample: Sample, start: Vector, options: SolverOptions) -> Solution:
        """Return the weights of the least loss, with their certificate where there is one."""
        ...


def squared_error_of(sample: Sample) -> SquaredLoss:
    """Return the mean squared error of averages of these values."""
    return SquaredLoss.of(sample.true_class.T[:, :, None], sample.targets[:, None], sample.weights)


def pinball_of(sample: Sample, quantile: float) -> PinballLoss:
    """Return the pinball loss of averages of these values."""
    return PinballLoss.of(sample.true_class, sample.targets, quantile, sample.weights)


def log_loss_of(sample: Sample) -> LogLoss:
    """Return the log-loss of averages on these rows."""
    places = sample.place if sample.each == 1 else sample.place // sample.each
    return LogLoss.of(sample.true_class, sample.weights, sample.passes, places=places)


def brier_of(sample: Sample) -> SquaredLoss:
    """Return the Brier score of averages on these rows."""
    total: SquaredLoss | None = None
    weights = np.ones(sample.rows) if sample.weights is None else sample.weights
    labels = sample.labels
    for rows, scores in sample.blocks():
        part = SquaredLoss.brier(np.stack(list(scores.values())), labels[rows], weights[rows])
        total = part if total is None else total + part
    if total is None:
        raise ValueError("a sample has at least one row")
    return total


def _squares(sample: Sample, blend: Blend) -> Vector:
    """Return each row's squared distance of the scores from the true class, over all classes: 0 to 2."""
    return Judged.of(sample, blend).squares


def _squared_errors(sample: Sample, blend: Blend) -> Vector:
    """Return the squared difference of the average from each value, in the value's units, squared."""
    return np.asarray((sample.true_class @ blend.weights - sample.targets) ** 2, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class LogLossAim:
    """Nats a row, capped."""

    measure: str = "log-loss"

    def losses(self, sample: Sample, blend: Blend) -> Vector:
        """Return each row's log-loss, capped."""
        return capped_losses(sample, blend)

    def at(self, sample: Sample, weights: Vector) -> tuple[float, Vector]:
        """Return the log-loss, not capped, and its slope."""
        return log_loss_of(sample).value_and_gradient(weights)

    def rough(self, sample: Sample, start: Vector) -> Vector:
        """Take Newton steps from `start`, which every member has a part in."""
        return newton(log_loss_of(sample), start, tolerance=ROUGH, max_steps=60).weights

    def solve(self, sample: Sample, start: Vector, options: SolverOptions) -> Solution:
        """Find the certified optimum."""
        return solve(log_loss_of(sample), start, options)


@dataclass(frozen=True, slots=True)
class SquaredAim:
    """A loss that is a square in the weights, whose least is found exactly and from anywhere.

    `of` gives the mean loss of a sample's averages, `of_rows` what each row adds to that of one of them.
    """

    measure: str
    of: Callable[[Sample], SquaredLoss]
    of_rows: Callable[[Sample, Blend], Vector]

    def losses(self, sample: Sample, blend: Blend) -> Vector:
        """Return each row's loss."""
        return self.of_rows(sample, blend)

    def at(self, sample: Sample, weights: Vector) -> tuple[float, Vector]:
        """Return the mean loss and its slope."""
        return self.of(sample).value_and_gradient(weights)

    def rough(self, sample: Sample, start: Vector) -> Vector:  # noqa: ARG002 - exact from anywhere
        """Solve it: that takes no longer."""
        return solve_squared(self.of(sample)).weights

    def solve(self, sample: Sample, start: Vector, options: SolverOptions) -> Solution:  # noqa: ARG002 - as above
        """Find the certified optimum."""
        return solve_squared(self.of(sample), options.tolerance)


@dataclass(frozen=True, slots=True)
class ClimbedAim:
    """One less a measure that has no slope; where that isn't defined, nothing, whatever the weights."""

    climbed: Measure

    @property
    def measure(self) -> str:
        """What people call it."""
        return self.climbed.loss

    def losses(self, sample: Sample, blend: Blend) -> Vector:
        """Return what each row adds to the loss: 1 if it is wrong, else 0, where accuracy is meant."""
        pooled, pool = np.empty((sample.rows, sample.classes)), blend.pool(sample.predictions.members)
        for rows, scores in sample.blocks(blend.voters):
            pooled[rows] = pool.exact(scores)
        weights = np.ones(sample.rows) if sample.weights is None else sample.weights
        found = self.climbed.parts(pooled, sample.labels, weights)
        return np.zeros(sample.rows) if found is None else 1 - found

    def at(self, sample: Sample, weights: Vector) -> tuple[float, Vector]:
        """Return the log-loss and its slope."""
        return log_loss_of(sample).value_and_gradient(weights)

    def rough(self, sample: Sample, start: Vector) -> Vector:
        """Climb from the least log-loss."""
        return self._from(sample, LogLossAim().rough(sample, start))

    def solve(self, sample: Sample, start: Vector, options: SolverOptions) -> Solution:
        """Climb from the least log-loss; `loss` and `gap` are those of the log-loss."""
        first = LogLossAim().solve(sample, start, options)
        weights = self._from(sample, first.weights)
        loss, gradient = self.at(sample, weights)
        how = f"{first.how}, then hill climbing for a lower {self.measure}"
        return Solution(
            weights, loss, gap_of(weights, gradient), first.iterations, first.converged, how, first.message
        )

    def _from(self, sample: Sample, start: Vector) -> Vector:
        scores = np.stack([found[sample.place] for found in sample.predictions.scores]).astype(np.float64)
        return climb(scores, sample.labels, self.climbed, start, sample.weights)


@dataclass(frozen=True, slots=True)
class PinballAim:
    """What missing a value by `u` costs: `quantile * u` from below, `(1 - quantile) * u` from above."""

    quantile: float

    @property
    def measure(self) -> str:
        """What people call it."""
        return f"pinball loss at {self.quantile:g}"

    def losses(self, sample: Sample, blend: Blend) -> Vector:
        """Return what each value's miss costs."""
        miss = sample.targets - sample.true_class @ blend.weights
        return np.asarray(np.maximum(self.quantile * miss, (self.quantile - 1) * miss), dtype=np.float64)

    def at(self, sample: Sample, weights: Vector) -> tuple[float, Vector]:
        """Return the loss and a slope of it; there are several where a value is hit."""
        return pinball_of(sample, self.quantile).value_and_slope(weights)

    def rough(self, sample: Sample, start: Vector) -> Vector:  # noqa: ARG002 - a linear program has no start
        """Solve it."""
        return solve_pinball(pinball_of(sample, self.quantile)).weights

    def solve(self, sample: Sample, start: Vector, options: SolverOptions) -> Solution:  # noqa: ARG002 - as above
        """Find the certified optimum."""
        return solve_pinball(pinball_of(sample, self.quantile), options.tolerance)


AIMS: Mapping[str, Aim] = {
    "log_loss": LogLossAim(),
    "brier": SquaredAim("Brier score", brier_of, _squares),
    **{name: ClimbedAim(measure) for name, measure in MEASURES.items()},
    "mse": SquaredAim("mean squared error", squared_error_of, _squared_errors),
}
PINBALL = "pinball:"
# The first is what decides where nothing is said.
OBJECTIVES: Mapping[Truth, tuple[str, ...]] = {
    Truth.CLASSES: ("log_loss", "brier", *MEASURES),
    Truth.LABELS: ("log_loss", "brier"),
    Truth.VALUES: ("mse", f"{PINBALL}Q"),
}


def aim_of(objective: str) -> Aim:
    """Return what is called so: one of `AIMS`, or "pinball:Q" for the quantile Q; InvalidRequestError."""
    if objective.startswith(PINBALL):
        try:
            quantile = float(objective.removeprefix(PINBALL))
        except ValueError:
            quantile = 0.0
        if not 0 < quantile < 1:
            raise InvalidRequestError(
                f"a quantile lies above 0 and below 1, as in pinball:0.9; got {objective!r}"
            )
        return PinballAim(quantile)
    if objective not in AIMS:
        raise InvalidRequestError(f"the objective is one of {', '.join(AIMS)}, {PINBALL}Q; got {objective!r}")
    return AIMS[objective]


def objective_for(truth: Truth, objective: str = "") -> str:
    """Return `objective`, or what fits if it is empty; InvalidRequestError if it can't judge `truth`."""
    fitting = OBJECTIVES[truth]
    if not objective:
        return fitting[0]
    aim_of(objective)
    if objective not in fitting and not (truth is Truth.VALUES and objective.startswith(PINBALL)):
        raise InvalidRequestError(
            f"--objective {objective} doesn't judge {truth}, which this ensemble's scores are: name one of"
            f" {', '.join(fitting)}"
        )
    return objective
