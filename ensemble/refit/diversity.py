"""How members differ, and what differing gives: figures of the members' scores of labelled rows.

A. Krogh, J. Vedelsby, Neural Network Ensembles, Cross Validation, and Active Learning (NIPS 1995): the
ambiguity decomposition. L. Kuncheva, C. Whitaker, Measures of Diversity in Classifier Ensembles (Machine
Learning 51, 2003): Q statistic, disagreement and double fault, from which members are right about which rows.
T. Heskes, Selecting Weighting Factors in Logarithmic Opinion Pools (NIPS 1997): the same for the log-loss.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from .aims import log_loss_of
from .objective import Matrix, Vector
from .report_data import error_correlation
from .sample import Sample, mean_and_error
from .solver import solve

_FLOOR = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Each two members compared, `[member, member]`, all symmetric.

    Attributes:
        error_correlation: How alike their errors are; see `report_data.error_correlation`.
        disagreement: The share of rows that one is right about and the other isn't.
        double_fault: The share of rows that both are wrong about.
        q_statistic: (n11 n00 - n01 n10) / (n11 n00 + n01 n10), of rows that both, none or one is right about:
            1 where they are right about the same rows, 0 where that is chance; not a number where 0 / 0.
        loss_together: The log-loss of the best weights for the two alone; on the diagonal, a member's own.
    """

    error_correlation: Matrix
    disagreement: Matrix
    double_fault: Matrix
    q_statistic: Matrix
    loss_together: Matrix


@dataclass(frozen=True, slots=True)
class Decomposition:
    """Loss of the ensemble = weighted mean of the members' losses - ambiguity, which is never below 0."""

    members: float
    ambiguity: float

    @property
    def ensemble(self) -> float:
        """The ensemble's own loss."""
        return self.members - self.ambiguity


def pairs(sample: Sample) -> Pairs:
    """Compare each two members; impossible rows, to which both give 0, make a pair's loss infinite."""
    right = _right(sample)
    wrong = ~right
    both, none, first = (
        (one.T.astype(np.float64) @ other) / sample.rows
        for one, other in ((right, right), (wrong, wrong), (right, wrong))
    )
    agreed, apart = both * none, first * first.T
    with np.errstate(invalid="ignore"):
        q_statistic = (agreed - apart) / (agreed + apart)
    return Pairs(error_correlation(sample), first + first.T, none, q_statistic, _losses_together(sample))


def squared_decomposition(sample: Sample, weights: Vector) -> Decomposition:
    """Take the Brier score of the weighted average apart, exactly (Krogh and Vedelsby).

    The ambiguity is the weighted mean of the squared distances from each member's scores to the average's.
    """
    losses, ambiguity = np.zeros(sample.members), 0.0
    truth = np.eye(sample.classes)[sample.labels]
    for rows, scores in sample.blocks():
        given = np.stack(list(scores.values())).astype(np.float64)
        pooled = np.tensordot(weights, given, 1)
        losses += ((given - truth[rows]) ** 2).sum(axis=(1, 2))
        ambiguity += float(weights @ ((given - pooled) ** 2).sum(axis=(1, 2)))
    return Decomposition(float(weights @ losses) / sample.rows, ambiguity / sample.rows)


def log_decomposition(sample: Sample, weights: Vector) -> Decomposition:
    """Take the log-loss of the weighted geometric mean apart, exactly (Heskes).

    The ambiguity is the weighted mean of KL(mean || member): minus the log of the sum over classes of
    prod_k score_k ** w_k. Scores of 0 count as the least number there is.
    """
    losses, ambiguity = np.zeros(sample.members), 0.0
    labels = sample.labels
    for rows, scores in sample.blocks():
        logs = np.log(np.maximum(np.stack(list(scores.values())).astype(np.float64), _FLOOR))
        places = np.arange(logs.shape[1])
        losses -= logs[:, places, labels[rows]].sum(axis=1)
        ambiguity -= float(np.log(np.exp(np.tensordot(weights, logs, 1)).sum(axis=1)).sum())
    return Decomposition(float(weights @ losses) / sample.rows, ambiguity / sample.rows)


@dataclass(frozen=True, slots=True)
class Worth:
    """What a member adds to the others, in nats, on the rows that weights are fitted on; infinite if alone.

    Attributes:
        rises: By how much the log-loss of the best weights rises without it.
        first_order: `g - 1`: how fast the log-loss of the others' best weights falls as its own weight grows
            from zero. It bounds `rises`, and is 0 or less exactly where the member adds nothing.
    """

    rises: float
    first_order: float


def value_of_each(sample: Sample, start: Vector) -> Mapping[str, Worth]:
    """Return what each member adds to the others."""
    least = solve(log_loss_of(sample), start).loss
    found = {}
    for index, name in enumerate(sample.predictions.members):
        others = [other for other in range(sample.members) if other != index]
        part = sample.only(others)
        if not _possible(part):
            found[name] = Worth(float("inf"), float("inf"))
            continue
        best = solve(log_loss_of(part), np.full(len(others), 1 / len(others)))
        growth, _ = mean_and_error(
            sample.true_class[:, index] / (part.true_class @ best.weights), sample.weights
        )
        found[name] = Worth(max(0.0, best.loss - least), growth - 1)
    return found


def _losses_together(sample: Sample) -> Matrix:
    with np.errstate(divide="ignore"):
        found = np.diag(-np.log(sample.true_class).mean(axis=0))
    for one, other in combinations(range(sample.members), 2):
        found[one, other] = found[other, one] = _least_loss(sample.only([one, other]))
    return found


def _least_loss(sample: Sample) -> float:
    """Return the log-loss of the best weights; infinite without members, or if all give some row 0."""
    if not _possible(sample):
        return float("inf")
    return solve(log_loss_of(sample), np.full(sample.members, 1 / sample.members)).loss


def _possible(sample: Sample) -> bool:
    """Whether some weights give every row's true class a score."""
    return sample.members > 0 and bool((sample.true_class.max(axis=1) > 0).all())


def _right(sample: Sample) -> "np.ndarray[tuple[int, int], np.dtype[np.bool_]]":
    """Return which members are right about which rows, `[row, member]`."""
    right = np.empty((sample.rows, sample.members), dtype=np.bool_)
    labels = sample.labels
    for rows, scores in sample.blocks():
        for index, given in enumerate(scores.values()):
            right[rows, index] = given.argmax(axis=1) == labels[rows]
    return right
