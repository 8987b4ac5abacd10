"""Weights for members that predict a quantile: the least pinball loss is a linear program.

Missing by `u` from below costs `quantile * u`, from above `(1 - quantile) * u`. The proof needs no trust in
the solver: any prices of the misses within `[quantile - 1, quantile]` bound the loss from below.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, eye_array, hstack, vstack

from ..errors import InvalidDataError
from .objective import Matrix, Vector
from .solver import TOLERANCE, Solution

# What rounding may leave of a gap, as a share of the targets' spread.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class PinballLoss:
    """Mean pinball loss of the average of `scores` [row, member] as `quantile` of `targets` [row]."""

    scores: Matrix
    targets: Vector
    quantile: float
    shares: Vector  # [row], >= 0, summing to one

    @classmethod
    def of(
        cls, scores: Matrix, targets: Vector, quantile: float, row_weights: Vector | None = None
    ) -> "PinballLoss":
        """Take predictions, what came true, and row weights >= 0 (all alike unless given)."""
        rows = len(targets)
        weights = np.ones(rows) if row_weights is None else np.asarray(row_weights, dtype=np.float64)
        if scores.ndim != 2 or scores.shape[0] != rows or weights.shape != (rows,):  # noqa: PLR2004 - row, member
            raise InvalidDataError(
                f"scores {scores.shape} don't go with targets {targets.shape} and row weights"
                f" {weights.shape}: need [row, member], [row] and [row]"
            )
        if not 0 < quantile < 1:
            raise InvalidDataError(f"a quantile lies above 0 and below 1; got {quantile}")
        if not (np.isfinite(scores).all() and np.isfinite(targets).all() and np.isfinite(weights).all()):
            raise InvalidDataError("scores, targets and row weights must be finite; some are nan or infinite")
        if weights.min(initial=0) < 0 or weights.sum() == 0:
            raise InvalidDataError("row weights must be >= 0 and not all zero")
        return cls(scores.astype(np.float64), targets.astype(np.float64), quantile, weights / weights.sum())

    def value(self, weights: Vector) -> float:
        """Return the loss at `weights`."""
        miss = self.targets - self.scores @ weights
        return float(self.shares @ np.maximum(self.quantile * miss, (self.quantile - 1) * miss))

    def value_and_slope(self, weights: Vector) -> tuple[float, Vector]:
        """Return the loss at `weights` and a subgradient: no loss elsewhere is below what it promises."""
        miss = self.targets - self.scores @ weights
        prices = np.where(miss > 0, self.quantile, self.quantile - 1)
        return self.value(weights), -np.asarray((self.shares * prices) @ self.scores, dtype=np.float64)

    def bound(self, prices: Vector) -> float:
        """Return a loss that no weights on the simplex can be below, for any `prices` [row] of a miss."""
        within = self.shares * np.clip(prices, self.quantile - 1, self.quantile)
        return float(within @ self.targets - (within @ self.scores).max())


def solve_pinball(loss: PinballLoss, tolerance: float = TOLERANCE) -> Solution:
    """Find the weights of the least pinball loss; the tolerance is a share of the targets' spread."""
    rows, members = loss.scores.shape
    spread = float(np.ptp(loss.targets)) or 1.0
    # Rows are weighed in the costs, so that prices come out per row; units in which the spread is one.
    misses = hstack([csr_array(loss.scores / spread), eye_array(rows), -eye_array(rows)])
    sums = csr_array(np.concatenate([np.ones(members), np.zeros(2 * rows)])[None, :])
    costs = [np.zeros(members), loss.shares * loss.quantile, loss.shares * (1 - loss.quantile)]
    found = linprog(
        np.concatenate(costs),
        A_eq=vstack([misses, sums]),
        b_eq=np.append(loss.targets / spread, 1.0),
        bounds=(0, None),
        method="highs",
    )
    if found.x is None:
        weights, prices = np.full(members, 1 / members), np.zeros(rows)
    else:
        weights = np.clip(np.asarray(found.x[:members], dtype=np.float64), 0, None)
        weights = weights / weights.sum()
        counted = np.where(loss.shares > 0, loss.shares, 1.0)
        prices = np.asarray(found.eqlin.marginals[:rows], dtype=np.float64) / counted
    reached = loss.value(weights)
    gap = max(0.0, reached - loss.bound(prices))
    limit = (tolerance + ROUNDING) * spread
    converged = gap <= limit
    message = "" if converged else f"the gap {gap:.3g} is above the tolerance {limit:.3g}: {found.message}"
    steps = int(found.nit)
    return Solution(weights, reached, gap, steps, converged, f"{steps} steps of a linear program", message)
