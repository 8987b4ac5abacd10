"""How far members are from the ensemble they vote in: a drift signal that needs no labels."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ensemble.member import Scores
from ensemble.pooling.disagreement import entropy


@dataclass(frozen=True, slots=True)
class Agreement:
    """One member against the ensemble, over the rows of one batch."""

    rows: int
    same_top_class: int  # rows for which both put the same class first
    divergence_sum: float  # Jensen-Shannon divergence, nats, summed over rows; at most log 2 each


def agreement(by_member: Mapping[str, Scores], pooled: Scores) -> dict[str, Agreement]:
    """Compare each member's scores with the pooled ones, all [row, class] and non-negative.

    The divergence is that of Lin (1991), Divergence measures based on the Shannon entropy:
    JS(p, q) = H((p + q) / 2) - (H(p) + H(q)) / 2.
    """
    top, ensemble = pooled.argmax(axis=1), pooled.astype(np.float64)
    ensemble_entropy = entropy(ensemble)
    told = {}
    for name, scores in by_member.items():
        member = scores.astype(np.float64)
        divergence = entropy((member + ensemble) / 2) - (entropy(member) + ensemble_entropy) / 2
        told[name] = Agreement(
            rows=len(scores),
            same_top_class=int((scores.argmax(axis=1) == top).sum()),
            # Rounding can leave a hair below zero where the two are the same.
            divergence_sum=float(np.maximum(divergence, 0).sum()),
        )
    return told
