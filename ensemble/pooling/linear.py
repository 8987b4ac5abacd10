"""The weighted arithmetic mean of the members' scores: the pool that unisono is made for."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..member import Scores
from ..weights import Weights


@dataclass(frozen=True, slots=True)
class LinearPool:
    """`sum(w_k * scores_k)`, added up in float64."""

    weights: Weights

    def __call__(self, scores: Mapping[str, Scores]) -> Scores:
        """Average `scores`, each [row, class], leaving out members that weigh nothing."""
        used = [(weight, scores[name]) for name, weight in self.weights.by_member.items() if weight > 0]
        # Sum in float64: with many members, float32 rounding would depend on their order.
        total = np.zeros(used[0][1].shape, dtype=np.float64)
        for weight, score in used:
            total += weight * score.astype(np.float64)
        return total.astype(np.float32)
