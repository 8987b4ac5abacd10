"""Squared error of the averaged scores (Brier score, regression): one small matrix says all of it.

`loss(w) = w' E w` on the simplex, where `E[k, l]` is the mean product of members k's and l's errors. E adds
up over shards, days and machines: no predictions need be kept to learn weights from it.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from ..errors import InvalidDataError
from .objective import Matrix, Vector

# Rows whose errors are held in float64 at a time.
BLOCK_ROWS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class SquaredLoss:
    """Mean over rows of the squared error, summed over outputs, of the members' weighted average. Convex."""

    products: Matrix  # [member, member]: sum over rows of weight * error_k . error_l
    total: float  # sum of the row weights

    @classmethod
    def of(cls, scores: NDArray[Any], targets: NDArray[Any], row_weights: Vector | None = None) -> Self:
        """Take scores `[member, row, output]`, what they should be `[row, output]`, and row weights >= 0."""
        members, rows, outputs = scores.shape
        weights = np.ones(rows) if row_weights is None else np.asarray(row_weights, dtype=np.float64)
        if targets.shape != (rows, outputs) or weights.shape != (rows,):
            raise InvalidDataError(
                f"scores {scores.shape} don't go with targets {targets.shape} and row weights"
                f" {weights.shape}: need [member, row, output], [row, output] and [row]"
            )
        if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
            raise InvalidDataError("row weights must be finite, >= 0 and not all zero")
        products = np.zeros((members, members))
        for start in range(0, rows, BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            errors = scores[:, block].astype(np.float64) - targets[block]
            errors = (errors * np.sqrt(weights[block])[:, None]).reshape(members, -1)
            products += errors @ errors.T
        if not np.isfinite(products).all():
            raise InvalidDataError("scores and targets must be finite; some are nan or infinite")
        return cls(products, float(weights.sum()))

    @classmethod
    def brier(
        cls, scores: NDArray[Any], labels: NDArray[np.int64], row_weights: Vector | None = None
    ) -> Self:
        """Take scores `[member, row, class]` and class indices `[row]`: the multi-class Brier score."""
        return cls.of(scores, np.eye(scores.shape[2], dtype=np.float32)[labels], row_weights)

    def __add__(self, other: Self) -> Self:
        """Return the loss on the rows of both."""
        return type(self)(self.products + other.products, self.total + other.total)

    @property
    def members(self) -> int:
        """How many members' scores are averaged."""
        return len(self.products)

    @property
    def errors(self) -> Matrix:
        """The mean error products E; its diagonal holds the members' own losses."""
        return np.asarray(self.products / self.total, dtype=np.float64)

    def value(self, weights: Vector) -> float:
        """Return the loss at `weights`."""
        return float(weights @ self.errors @ weights)

    def value_and_gradient(self, weights: Vector) -> tuple[float, Vector]:
        """Return the loss at `weights` and its gradient there."""
        slope = self.errors @ weights
        return float(weights @ slope), 2 * slope


def least_squared(objective: SquaredLoss) -> Vector:
    """Return the weights of the least loss, exactly but for rounding; uniform where every loss is zero.

    With `E = A'A`, the `y >= 0` of the least `|A y|^2 + (sum(y) - 1)^2` points from the origin at the `w` of
    the simplex with the least `|A w|^2`: for `y = t w` the least over t grows with `|A w|^2`, so one
    non-negative least-squares problem, without any penalty to choose, is all.
    """
    scale = float(np.trace(objective.errors)) / objective.members
    if scale == 0:
        return np.full(objective.members, 1 / objective.members)
    values, vectors = np.linalg.eigh(objective.errors / scale)
    root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
    ones = np.ones((1, objective.members))
    rows, wanted = np.vstack([root, ones]), np.append(np.zeros(len(root)), 1.0)
    found, _ = nnls(rows, wanted, maxiter=100 * objective.members)
    return np.asarray(found / found.sum(), dtype=np.float64)


def drawn_towards(served: Vector, best: Vector, tau: float, rows: float) -> Vector:
    """Return weights between those served and the best on `rows` rows, as if `tau` more spoke for the first.

    For squared errors that is the optimum under Zellner's g-prior around the weights served, as long as it
    lies inside the simplex (A. Zellner, On Assessing Prior Distributions with g-prior Distributions, 1986);
    for other losses it is a rule of thumb. No convex loss is above the larger of the two there.
    """
    return np.asarray((rows * best + tau * served) / (rows + tau), dtype=np.float64)
