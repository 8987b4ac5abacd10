"""How far members are from the ensemble they vote in: a drift signal that needs no labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.member import Scores
from ensemble.pooling.disagreement import entropy
from ensemble.truth import Truth

Exact = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """One member against the ensemble, over the rows of one batch. Values have no class and no divergence."""

    rows: int
    same_top_class: int = 0  # rows for which both put the same class first, or say yes to the same labels
    divergence_sum: float = (
        0.0  # Jensen-Shannon divergence, nats, summed over rows; at most log 2 a class or label
    )
    distance_sum: float | None = (
        None  # of values: absolute difference, averaged over columns, summed over rows
    )


def agreement(
    by_member: Mapping[str, Scores], pooled: Scores, truth: Truth = Truth.CLASSES
) -> dict[str, Agreement]:
    """Compare each member's scores with the pooled ones, all [row, column]; probabilities are non-negative.

    The divergence is that of Lin (1991), Divergence measures based on the Shannon entropy:
    JS(p, q) = H((p + q) / 2) - (H(p) + H(q)) / 2. Of labels it is that of each, added up.
    """
    ensemble = pooled.astype(np.float64)
    if truth is Truth.VALUES:
        return {
            name: Agreement(len(scores), distance_sum=float(np.abs(scores - ensemble).mean(axis=1).sum()))
            for name, scores in by_member.items()
        }
    sides, whole = _sides(ensemble, truth), _answers(ensemble, truth)
    whole_entropy = entropy(whole)
    told = {}
    for name, scores in by_member.items():
        member = scores.astype(np.float64)
        own = _answers(member, truth)
        divergence = entropy((own + whole) / 2) - (entropy(own) + whole_entropy) / 2
        told[name] = Agreement(
            rows=len(scores),
            same_top_class=int((_sides(member, truth) == sides).all(axis=1).sum()),
            # Rounding can leave a hair below zero where the two are the same.
            divergence_sum=float(np.maximum(divergence, 0).sum()),
        )
    return told


def _sides(scores: Exact, truth: Truth) -> NDArray[Any]:
    """Return what scores come down to, [row, ...]: the class put first, or whether each label is likely."""
    return scores.argmax(axis=1)[:, None] if truth is Truth.CLASSES else scores > 0.5  # noqa: PLR2004 - even


def _answers(scores: Exact, truth: Truth) -> Exact:
    """Return distributions, one a row: of classes, or for each label of no and yes."""
    if truth is Truth.CLASSES:
        return scores
    flat = scores.reshape(-1)
    return np.stack([1 - flat, flat], axis=1)
