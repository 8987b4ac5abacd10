"""Newton steps for log-loss on the simplex, and the EM step that can't fail.

`sum(w * g) = 1` at every `w`, so the least of `loss(w) + sum(w)` over all `w >= 0` lies on the simplex by
itself: the equality goes away, and each step is a non-negative least-squares problem.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.optimize import nnls

from .objective import LogLoss, Matrix, Vector, gap_of

# Added to the scaled Hessian's unit diagonal; members that are copies of each other make it singular.
RIDGES = (1e-13, 1e-11, 1e-9, 1e-6)
ENOUGH_DECREASE = 1e-4
SHORTEST_STEP = 1e-8
# What rounding alone may add to the loss from one point to the next.
ROUNDING = 1e-14


@dataclass(frozen=True, slots=True, eq=False)
class Reached:
    """A point on the simplex, its gap, and the steps it took to get there."""

    weights: Vector
    gap: float
    newton_steps: int
    em_steps: int


def newton(objective: LogLoss, start: Vector, *, tolerance: float, max_steps: int) -> Reached:
    """Step from `start`, where the loss is finite, until the gap is at most `tolerance`.

    Where a Newton step leads nowhere an EM step is taken. Returns the point of the least gap seen.
    """
    point, taken, by_em = start, 0, 0
    best = Reached(start, np.inf, 0, 0)
    for _ in range(max_steps + 1):
        loss, gradient, hessian = objective.value_gradient_hessian(point)
        gap = gap_of(point, gradient)
        if gap < best.gap:
            best = Reached(point, gap, taken, by_em)
        if gap <= tolerance or taken + by_em == max_steps:
            break
        stepped = _step(objective, point, (loss, gradient, hessian))
        if stepped is None:
            point, by_em = _em_step(point, gradient), by_em + 1
        else:
            point, taken = stepped, taken + 1
    return best


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


def _step(objective: LogLoss, point: Vector, at_point: tuple[float, Vector, Matrix]) -> Vector | None:
    """Go to the model's least, or part of the way there; None where that doesn't lower the loss."""
    loss, gradient, hessian = at_point
    target = _least_of_model(point, gradient, hessian)
    if target is None:
        return None
    direction = target - point
    slope = float((gradient + 1) @ direction)
    before = loss + float(point.sum())
    slack = ROUNDING * (1 + abs(before))
    length = 1.0
    while length >= SHORTEST_STEP:
        # At full length go to the target itself, so that its zeros stay exactly zero.
        stepped = target if length == 1 else np.maximum(point + length * direction, 0)
        total = float(stepped.sum())
        if (
            total > 0
            and objective.value(stepped) + total <= before + ENOUGH_DECREASE * length * slope + slack
        ):
            return np.asarray(stepped / total, dtype=np.float64)
        length /= 2
    return None


def _least_of_model(point: Vector, gradient: Vector, hessian: Matrix) -> Vector | None:
    """Minimise the quadratic model of `loss + sum` over the non-negative orthant."""
    # Members whose weights differ by orders of magnitude curve differently too: scale to a unit diagonal.
    scale = 1 / np.sqrt(np.maximum(np.diag(hessian), np.finfo(np.float64).tiny))
    scaled = hessian * scale[:, None] * scale
    for ridge in RIDGES:
        ridged = scaled + ridge * np.eye(len(point))
        try:
            root = cholesky(ridged)
            linear = ridged @ (point / scale) - scale * (gradient + 1)
            least, _ = nnls(root, solve_triangular(root, linear, trans="T"), maxiter=50 * len(point))
        except (LinAlgError, RuntimeError, ValueError):
            continue
        if np.isfinite(least).all():
            return np.asarray(least * scale, dtype=np.float64)
    return None
