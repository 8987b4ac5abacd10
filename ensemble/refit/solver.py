"""Finds the weights: minimises an objective over the simplex, and proves how near the least it came.

`solve` never raises because a fit went badly, and never takes a solver's word for success. How it went is
part of the solution, for the gate to judge and the report to print.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize

from ..errors import InvalidWeightsError, SolverError
from .newton import Reached, expectation_maximisation, newton
from .objective import LogLoss, Vector, gap_of
from .squared import SquaredLoss, least_squared

# The gap, in nats, at which weights are as good as any.
TOLERANCE = 1e-9
# Weights below this are taken for zero where the certificate allows it.
DUST = 1e-6
# How much of the uniform weights is mixed into a start that leaves some row without any score.
REVIVAL = 0.01
# A start of a larger gap, in nats, is so far off that Newton steps from it are short.
HOPELESS = 1.0
# A file of so many times the rows of a first guess is large.
LARGE = 4
# How exact a first guess is, in nats; and where SLSQP stops.
GUESS = 1e-6
SLSQP_PRECISION = 1e-9
# What rounding may leave of a gap, as a share of the largest loss there is.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class SolverOptions:
    """When to stop. `tolerance` is the gap in nats; steps are counted per method."""

    tolerance: float = TOLERANCE
    max_newton_steps: int = 60
    max_slsqp_steps: int = 100
    max_em_steps: int = 1_000
    # Of a large file so many rows make the first guess: it need not be exact.
    guess_rows: int = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """Where the solver stopped, and why."""

    weights: Vector  # [member], on the simplex; zeros are exactly zero
    loss: float  # nats a row
    gap: float  # no other weighting has a loss lower than `loss - gap`
    iterations: int
    converged: bool  # whether `gap` is at most the tolerance asked for
    how: str
    message: str

    def checked(self) -> "Solution":
        """Return this solution if it converged; SolverError, with the figures, if it didn't."""
        if not self.converged:
            raise SolverError(
                f"no weights: the loss {self.loss:.6g} may be up to {self.gap:.3g} nats above the least after"
                f" {self.iterations} iterations ({self.how}); {self.message}"
            )
        return self


def solve(objective: LogLoss, start: Vector, options: SolverOptions | None = None) -> Solution:
    """Minimise `objective` over the simplex from `start`, which must lie on it.

    Newton steps go to the certificate, of a large file first on a part of its rows. Where they stop short
    SLSQP looks for a better start and they go on from there; EM is there for when nothing else gets on.
    """
    options = options or SolverOptions()
    point = _finite(objective, _on_simplex(start, objective.members))
    gap = _gap(objective, point)
    if gap <= options.tolerance:
        return _solution(objective, point, options, (["the start was optimal"], 0, ""))
    course = _Course(objective, options, point if gap < HOPELESS else _revived(objective, point))
    if objective.rows >= LARGE * options.guess_rows:
        course.guess()
    course.newton()
    if course.short:
        course.slsqp()
        course.newton()
    if course.short:
        course.em()
    return _solution(objective, course.point, options, (course.how, course.steps, course.message))


def solve_squared(objective: SquaredLoss, tolerance: float = TOLERANCE) -> Solution:
    """Minimise a squared loss over the simplex: one quadratic program, solved exactly.

    The tolerance is a share of the best single member's loss, since squared errors have the targets' units.
    """
    weights = least_squared(objective)
    loss, gradient = objective.value_and_gradient(weights)
    gap = gap_of(weights, gradient)
    own = np.diag(objective.errors)
    # Where a member makes no error at all, rounding is all there is to measure.
    limit = tolerance * float(own.min()) + ROUNDING * float(own.max())
    converged = gap <= limit
    message = "" if converged else f"the gap {gap:.3g} is above the tolerance {limit:.3g}"
    return Solution(weights, loss, gap, 1, converged, "1 quadratic program", message)


@dataclass(slots=True)
class _Course:
    """How the solver gets on: where it is, how far from the least at most, and how it came there."""

    objective: LogLoss
    options: SolverOptions
    point: Vector
    gap: float = float("inf")
    how: list[str] = field(default_factory=list)
    steps: int = 0
    message: str = ""

    @property
    def short(self) -> bool:
        """Whether it isn't there yet."""
        return self.gap > self.options.tolerance

    def guess(self) -> None:
        """Go where a part of the rows leads, if that is a better place to be."""
        part = self.objective.thinned(self.options.guess_rows)
        reached = newton(part, self.point, tolerance=GUESS, max_steps=self.options.max_newton_steps)
        guess = _finite(self.objective, reached.weights)
        if self.objective.value(guess) < self.objective.value(self.point):
            self.point = guess
        self._count(reached, f" on {part.rows} rows")

    def newton(self) -> None:
        """Take Newton steps from here."""
        limit = self.options.max_newton_steps
        reached = newton(self.objective, self.point, tolerance=self.options.tolerance, max_steps=limit)
        self._arrive(reached)

    def slsqp(self) -> None:
        """Go where SLSQP leads, if that is a better place to be."""
        found, steps, self.message = _slsqp(self.objective, self.point, self.options.max_slsqp_steps)
        self.how.append(f"{steps} slsqp")
        self.steps += steps
        guess = _finite(self.objective, found)
        if self.objective.value(guess) < self.objective.value(self.point):
            self.point = guess

    def em(self) -> None:
        """Take EM steps from here: sure, and slow."""
        limit, tolerance = self.options.max_em_steps, self.options.tolerance
        self._arrive(
            expectation_maximisation(self.objective, self.point, tolerance=tolerance, max_steps=limit)
        )

    def _arrive(self, reached: Reached) -> None:
        if reached.gap < self.gap:
            self.point, self.gap = reached.weights, reached.gap
        self._count(reached, "")

    def _count(self, reached: Reached, where: str) -> None:
        for steps, kind in ((reached.newton_steps, "newton"), (reached.em_steps, "em")):
            self.steps += steps
            self.how += [f"{steps} {kind}{where}"] if steps else []


def _slsqp(objective: LogLoss, start: Vector, max_steps: int) -> tuple[Vector, int, str]:
    """Return SLSQP's weights, moved onto the simplex, its iterations and what it has to say."""
    result = minimize(
        objective.value_and_gradient,
        start,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * len(start),
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": np.ones_like},
        options={"ftol": SLSQP_PRECISION, "maxiter": max_steps},
    )
    message = "" if result.success else f"slsqp stopped early: {result.message}"
    found = np.clip(np.asarray(result.x, dtype=np.float64), 0, None)
    if not np.isfinite(found).all() or found.sum() == 0:
        return start, int(result.nit), f"slsqp found nothing: {result.message}"
    return found / found.sum(), int(result.nit), message


def _solution(
    objective: LogLoss, weights: Vector, options: SolverOptions, course: tuple[list[str], int, str]
) -> Solution:
    how, iterations, message = course
    weights = _without_dust(objective, weights, options.tolerance)
    loss, gradient = objective.value_and_gradient(weights)
    gap = gap_of(weights, gradient)
    converged = bool(np.isfinite(loss) and gap <= options.tolerance)
    if not converged:
        stopped = f"the gap {gap:.3g} is above the tolerance {options.tolerance:.3g}"
        message = f"{stopped}; {message}" if message else stopped
    return Solution(weights, loss, gap, iterations, converged, ", ".join(how), message)


def _on_simplex(start: Vector, members: int) -> Vector:
    start = np.asarray(start, dtype=np.float64)
    if start.shape != (members,) or not np.isfinite(start).all() or start.min() < 0 or start.sum() <= 0:
        raise InvalidWeightsError(
            f"the start {start.tolist()} can't be weights of {members} members: give {members} finite numbers"
            " >= 0, not all zero"
        )
    return np.asarray(start / start.sum(), dtype=np.float64)


def _finite(objective: LogLoss, weights: Vector) -> Vector:
    """Return `weights`, with a little of every member mixed in if some row would get no score at all."""
    if np.isfinite(objective.value(weights)):
        return weights
    return np.asarray((1 - REVIVAL) * weights + REVIVAL / len(weights), dtype=np.float64)


def _revived(objective: LogLoss, weights: Vector) -> Vector:
    """Return what is best to start from: `weights`, these with a little of every member, or uniform ones."""
    uniform = np.full(len(weights), 1 / len(weights))
    starts = [weights, (1 - REVIVAL) * weights + REVIVAL * uniform, uniform]
    return np.asarray(min(starts, key=objective.value), dtype=np.float64)


def _gap(objective: LogLoss, weights: Vector) -> float:
    return gap_of(weights, objective.value_and_gradient(weights)[1])


def _without_dust(objective: LogLoss, weights: Vector, tolerance: float) -> Vector:
    """Set to zero what is nearly zero, if the certificate stands without it."""
    kept = np.where(weights < DUST, 0.0, weights)
    if np.array_equal(kept, weights):
        return weights
    kept /= kept.sum()
    if not np.isfinite(objective.value(kept)):
        return weights
    return kept if _gap(objective, kept) <= max(tolerance, _gap(objective, weights)) else weights
