"""Newton steps for log-loss on the simplex, and the EM step that can't fail.

`sum(w * g) = 1` at every `w`, so the least of `loss(w) + sum(w)` over all `w >= 0` lies on the simplex by
itself: the equality goes away, and each step is a non-negative least-squares problem.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from .objective import LogLoss, Matrix, Vector, gap_of

# Added to the scaled Hessian's unit diagonal; members that are copies of each other make it singular.
RIDGES = (1e-13, 1e-11, 1e-9, 1e-6)
ENOUGH_DECREASE = 1e-4
SHORTEST_STEP = 1e-8
# What rounding alone may add to the loss from one point to the next.
ROUNDING = 1e-14
# Members that weigh nothing join a step if the loss would fall, or by this share of the gap not quite fall.
NEARLY = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Reached:
    """A point on the simplex, its gap, and the steps it took to get there."""

    weights: Vector
    gap: float
    newton_steps: int
    em_steps: int


@dataclass(frozen=True, slots=True, eq=False)
class _Point:
    """A point on the simplex, and the loss and its gradient there."""

    weights: Vector
    loss: float
    gradient: Vector

    @classmethod
    def at(cls, objective: LogLoss, weights: Vector) -> "_Point":
        return cls(weights, *objective.value_and_gradient(weights))


def newton(objective: LogLoss, start: Vector, *, tolerance: float, max_steps: int) -> Reached:
    """Step from `start`, where the loss is finite, until the gap is at most `tolerance`.

    Where a Newton step leads nowhere an EM step is taken. Returns the point of the least gap seen.
    """
    point, taken, by_em = _Point.at(objective, start), 0, 0
    best = Reached(start, np.inf, 0, 0)
    while True:
        gap = gap_of(point.weights, point.gradient)
        if gap < best.gap:
            best = Reached(point.weights, gap, taken, by_em)
        if gap <= tolerance or taken + by_em == max_steps:
            return best
        stepped = _step(objective, point, gap)
        if stepped is None:
            point, by_em = _Point.at(objective, _em_step(point.weights, point.gradient)), by_em + 1
        else:
            point, taken = stepped, taken + 1


def expectation_maximisation(
    objective: LogLoss, start: Vector, *, tolerance: float, max_steps: int
) -> Reached:
    """Take EM steps, each of which lowers the loss and none of which leaves the simplex.

    From uniform weights the loss after T steps is within `log(members) / T` of the least: sure, and slow.
    """
    point = start
    for step in range(max_steps + 1):
        _, gradient = objective.value_and_gradient(point)
        gap = gap_of(point, gradient)
        if gap <= tolerance or step == max_steps:
            break
        point = _em_step(point, gradient)
    return Reached(point, gap, 0, step)


def _em_step(point: Vector, gradient: Vector) -> Vector:
    stepped = point * -gradient
    return np.asarray(stepped / stepped.sum(), dtype=np.float64)


def _step(objective: LogLoss, point: _Point, gap: float) -> _Point | None:
    """Go to the model's least, or part of the way there; None where that doesn't lower the loss.

    The model is of the members that weigh something or would help: few, near the end.
    """
    slope_of_total = point.gradient + 1
    moved = np.flatnonzero((point.weights > 0) | (slope_of_total < NEARLY * gap))
    target = np.zeros(len(point.weights))
    hessian = objective.hessian(point.weights, moved)
    least = _least_of_model(point.weights[moved], slope_of_total[moved], hessian)
    if least is None:
        return None
    target[moved] = least
    direction = target - point.weights
    slope, before = float(slope_of_total @ direction), point.loss + float(point.weights.sum())
    slack = ROUNDING * (1 + abs(before))
    length = 1.0
    while length >= SHORTEST_STEP:
        # At full length go to the target itself, so that its zeros stay exactly zero.
        stepped = target if length == 1 else np.maximum(point.weights + length * direction, 0)
        total = float(stepped.sum())
        if total > 0:
            loss, gradient = objective.value_and_gradient(stepped)
            if loss + total <= before + ENOUGH_DECREASE * length * slope + slack:
                # Where all weights are divided by `total`, so is every average score.
                return _Point(stepped / total, loss + float(np.log(total)), gradient * total)
        length /= 2
    return None


def _least_of_model(point: Vector, slope: Vector, hessian: Matrix) -> Vector | None:
    """Minimise the quadratic model of `loss + sum`, of that `slope`, over the non-negative orthant."""
    # Members whose weights differ by orders of magnitude curve differently too: scale to a unit diagonal.
    scale = 1 / np.sqrt(np.maximum(np.diag(hessian), np.finfo(np.float64).tiny))
    scaled = hessian * scale[:, None] * scale
    for ridge in RIDGES:
        ridged = scaled + ridge * np.eye(len(point))
        try:
            root = np.linalg.cholesky(ridged)
            linear = ridged @ (point / scale) - scale * slope
            least, _ = nnls(root.T, np.linalg.solve(root, linear), maxiter=50 * len(point))
        except (np.linalg.LinAlgError, RuntimeError, ValueError):
            continue
        if np.isfinite(least).all():
            return np.asarray(least * scale, dtype=np.float64)
    return None
