"""The weighted arithmetic mean of the members' scores: the pool that unisono is made for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..member import Scores
from ..weights import Weights
from .pool import ExactScores
from .tempering import FLOOR, check_parameters, floored_logs, tempered

LINEAR = "linear"


@dataclass(frozen=True, slots=True)
class LinearPool:
    """`sum(w_k * scores_k)`, added up in float64; then, unless it is 1, a temperature.

    Uniform weights and a single member of weight one are linear pools like any other.
    """

    weights: Weights
    temperature: float = 1.0
    floor: float = FLOOR  # what a smaller average counts as, if there is a temperature

    def __post_init__(self) -> None:
        """Refuse parameters that are none."""
        check_parameters(self.temperature, self.floor)

    def exact(self, scores: Mapping[str, Scores]) -> ExactScores:
        """Average `scores`, each [row, class], leaving out members that weigh nothing."""
        used = [(weight, scores[name]) for name, weight in self.weights.by_member.items() if weight > 0]
        # Sum in float64: with many members, float32 rounding would depend on their order.
        total = np.zeros(used[0][1].shape, dtype=np.float64)
        for weight, score in used:
            total += weight * score.astype(np.float64)
        return total if self.temperature == 1 else tempered(floored_logs(total, self.floor), self.temperature)

    def __call__(self, scores: Mapping[str, Scores]) -> Scores:
        """Average `scores` and round to float32."""
        return self.exact(scores).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Return the form that manifests hold."""
        if self.temperature == 1:
            return {"form": LINEAR}
        return {"form": LINEAR, "temperature": self.temperature, "floor": self.floor}
