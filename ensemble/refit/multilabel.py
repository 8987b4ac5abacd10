"""Log-loss where a row may have several labels: each label is a question of its own, yes or no.

A member's score of a label is the probability of yes. With one set of weights for all labels every answer is
one more row of the plain log-loss; with a set for each label there are as many problems as labels.
"""

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from .objective import LogLoss, Matrix, Vector


def shared_loss(
    scores: NDArray[np.floating], truth: NDArray[np.bool_], row_weights: Vector | None = None
) -> LogLoss:
    """Return the mean log-loss of an answer, given scores `[member, row, label]` and truth `[row, label]`."""
    given = given_to_the_truth(scores, truth)
    weights = None if row_weights is None else np.repeat(row_weights, truth.shape[1])
    return LogLoss.of(given.reshape(-1, given.shape[2]), weights)


def losses_by_label(
    scores: NDArray[np.floating], truth: NDArray[np.bool_], row_weights: Vector | None = None
) -> tuple[LogLoss, ...]:
    """Return the log-loss of each label's answers, each with weights of its own."""
    given = given_to_the_truth(scores, truth)
    return tuple(LogLoss.of(given[:, label], row_weights) for label in range(truth.shape[1]))


def given_to_the_truth(scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> Matrix:
    """Return the probability that each member gave each true answer, `[row, label, member]`."""
    if scores.ndim != 3 or scores.shape[1:] != truth.shape:  # noqa: PLR2004 - member, row, label
        raise InvalidDataError(
            f"scores {scores.shape} don't go with truth {truth.shape}:"
            " need [member, row, label] and [row, label]"
        )
    if truth.dtype != np.bool_:
        raise InvalidDataError(f"truth is yes or no for each label; got an array of {truth.dtype}")
    # Not a number fails this too.
    if not ((scores >= 0) & (scores <= 1)).all():
        raise InvalidDataError("scores of labels are probabilities, each by itself from 0 to 1; some are not")
    exact = scores.astype(np.float64)
    return np.ascontiguousarray(np.moveaxis(np.where(truth, exact, 1 - exact), 0, 2))
