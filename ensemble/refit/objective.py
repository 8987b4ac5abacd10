"""What a refit makes small: a loss of the averaged scores, with its slope and curvature in the weights.

Rule 1: `scores * constant` of a row shifts the loss and moves no optimum, so where scores are so small that
their products might underflow every row is divided by its largest first, and the shift added back.
Rule 2: the curvature, by far the dearest, is told of those members alone that are asked for.
Rule 3: a sum over the rows is the same, to the last bit, wherever its parts are worked out (`passes`).
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from .passes import HERE, SMALLEST_MIX, Matrix, Passes, Question, Vector, summed

__all__ = ["LogLoss", "Matrix", "Vector", "gap_of"]

# Rows whose largest score is above this need no scaling: no float32 but zero is below.
SMALL = 1e-100


@dataclass(frozen=True, slots=True, eq=False)
class LogLoss:
    """Mean negative log, in nats, of the score that the average gives each row's true class. Convex."""

    # [row, member]: true-class scores as they were given, or over the row's largest; not to be written to
    scaled: Matrix
    row_weights: Vector  # [row], positive, summing to one
    shift: float  # nats to add back for the scaling
    passes: Passes = HERE
    share: float = 1.0  # of the whole that these rows count for
    prior: Vector | None = None  # [member], the rest: rows that one member alone explains

    @classmethod
    def of(
        cls,
        true_class_scores: Matrix,
        row_weights: Vector | None = None,
        passes: Passes | None = None,
        *,
        places: NDArray[np.int64] | None = None,
    ) -> Self:
        """Take scores `[row, member]`, >= 0, and row weights, >= 0 (all alike unless given).

        Rows of weight zero are left out. InvalidDataError names the rows that no member allows for.
        `passes` says who goes over the rows; of scaled ones that is always this process. `places` are the
        rows' numbers in the data, where they aren't from 0 on.
        """
        scores, weights = _weighed(np.asarray(true_class_scores, dtype=np.float64), row_weights)
        least = float(scores.min())
        # Written so that a score that is not a number is refused.
        if not (least >= 0 and scores.max() < np.inf):
            row = int(np.argmin(np.isfinite(scores).all(axis=1) & (scores >= 0).all(axis=1)))
            raise InvalidDataError(f"scores must be finite and >= 0; row {row} holds {scores[row].tolist()}")
        passes = passes or HERE
        if least >= SMALL:
            return cls(scores, weights, 0.0, passes)
        largest = scores.max(axis=1)
        _refuse_impossible(largest == 0, row_weights, places)
        if largest.min() >= SMALL:
            return cls(scores, weights, 0.0, passes)
        return cls(scores / largest[:, None], weights, float(-weights @ np.log(largest)))

    @classmethod
    def of_logs(cls, log_scores: Matrix, row_weights: Vector | None = None) -> Self:
        """Take natural logs of scores `[row, member]`, of any size: -900 is no trouble, nor is -inf."""
        logs, weights = _weighed(np.asarray(log_scores, dtype=np.float64), row_weights)
        if np.isnan(logs).any() or logs.max() == np.inf:
            raise InvalidDataError("log scores must be finite or -inf; some are nan or +inf")
        largest = logs.max(axis=1)
        _refuse_impossible(largest == -np.inf, row_weights)
        return cls(np.exp(logs - largest[:, None]), weights, float(-weights @ largest))

    @property
    def members(self) -> int:
        """How many members' scores are averaged."""
        return int(self.scaled.shape[1])

    @property
    def rows(self) -> int:
        """How many rows count."""
        return int(self.scaled.shape[0])

    def thinned(self, rows: int) -> Self:
        """Return the loss on every n-th row, at most `rows` of them: a cheap first guess at this one."""
        step = -(-self.rows // rows)
        weights = self.row_weights[::step]
        scaled, kept = self.scaled[::step], weights / weights.sum()
        return type(self)(scaled, kept, 0.0, share=self.share, prior=self.prior)

    def shrunk(self, toward: Vector, rows: float) -> Self:
        """Return the loss with `rows` more rows that are best served by the weights `toward`.

        As if each member had been the only one to explain its share of them: a Dirichlet prior. The weights
        of the least loss are drawn towards `toward`, and leave the simplex's edges where it does.
        """
        whole = self.rows + rows
        return replace(self, share=self.rows / whole, prior=rows / whole * toward / toward.sum())

    def value(self, weights: Vector) -> float:
        """Return the loss at `weights`; infinite where some row gets no score at all."""
        return self._with_prior(self._asked(Question("value", weights)), weights)[0]

    def value_and_gradient(self, weights: Vector) -> tuple[float, Vector]:
        """Return the loss at `weights` and its gradient there, `-g`."""
        found = self._asked(Question("slope", weights))
        loss, pull = self._with_prior(found, weights)
        return loss, self.share * found[1:] + pull

    def hessian(self, weights: Vector, members: NDArray[np.intp]) -> Matrix:
        """Return the loss's second derivatives by the weights of `members`; all others have to weigh zero."""
        found = self._asked(Question("curve", weights, tuple(members.tolist())))
        curved = self.share * found.reshape(len(members), len(members))
        if self.prior is None:
            return curved
        return np.asarray(
            curved + np.diag(self.prior[members] / np.maximum(weights[members], SMALLEST_MIX) ** 2)
        )

    def _with_prior(self, found: Vector, weights: Vector) -> tuple[float, Vector]:
        """Return the loss, prior included, and the prior's own gradient."""
        loss = self.share * (float(found[0]) + self.shift)
        if self.prior is None:
            return loss, np.zeros(self.members)
        held = self.prior > 0
        with np.errstate(divide="ignore"):
            loss -= float(self.prior[held] @ np.log(weights[held]))
        return loss, -self.prior / np.maximum(weights, SMALLEST_MIX)

    def _asked(self, question: Question) -> Vector:
        return summed(self.passes.shards(self.scaled, self.row_weights, question))


def gap_of(weights: Vector, gradient: Vector) -> float:
    """Bound how much lower a convex loss can be anywhere on the simplex than at `weights`.

    For log-loss it is `max(g) - 1`, in nats: zero if and only if no other weighting is better.
    """
    return max(0.0, float(gradient @ weights - gradient.min()))


def _weighed(scores: Matrix, row_weights: Vector | None) -> tuple[Matrix, Vector]:
    """Leave out rows of weight zero; make the weights of the others sum to one."""
    if scores.ndim != 2 or 0 in scores.shape:  # noqa: PLR2004 - rows and members
        raise InvalidDataError(f"scores have shape {scores.shape}; need [row, member], at least one of each")
    if row_weights is None:
        return scores, np.full(len(scores), 1 / len(scores))
    weights = np.asarray(row_weights, dtype=np.float64)
    if weights.shape != (len(scores),):
        raise InvalidDataError(f"row weights have shape {weights.shape}; there are {len(scores)} rows")
    if not np.isfinite(weights).all() or weights.min() < 0 or weights.max() == 0:
        raise InvalidDataError("row weights must be finite, >= 0 and not all zero")
    weights = weights / weights.max()
    counted = weights > 0
    if counted.all():
        return scores, weights / weights.sum()
    weights = weights[counted]
    return scores[counted], weights / weights.sum()


def _refuse_impossible(
    impossible: NDArray[np.bool_], row_weights: Vector | None, places: NDArray[np.int64] | None = None
) -> None:
    """Refuse rows, of those that count, that no member allows for."""
    if not impossible.any():
        return
    counted = np.arange(len(impossible)) if row_weights is None else np.flatnonzero(row_weights)
    rows = counted if places is None else places[counted]
    found = np.unique(rows[impossible])
    raise InvalidDataError(
        f"every member gives what is true of {len(found)} of {len(np.unique(rows))} rows a score of zero, the"
        f" first in row {found[0]}, so no weighting has a finite log-loss: check these rows' labels, or leave"
        " the rows out"
    )
