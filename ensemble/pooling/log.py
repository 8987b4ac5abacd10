"""The weighted geometric mean of the members' scores: whoever is sure that it isn't so counts for more."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..member import Scores
from ..weights import Weights
from .pool import ExactScores
from .tempering import FLOOR, check_parameters, floored_logs, tempered

LOG = "log"


@dataclass(frozen=True, slots=True)
class LogPool:
    """`prod(scores_k ** (w_k / temperature))`, each row brought to a sum of one; in float64.

    The exponents `w_k / temperature` are free: the weights, on the simplex as everywhere, say how they are
    shared out, and the temperature how large they are in all. Scores of zero are no veto.
    """

    weights: Weights
    temperature: float = 1.0
    floor: float = FLOOR  # what a smaller score counts as

    def __post_init__(self) -> None:
        """Refuse parameters that are none."""
        check_parameters(self.temperature, self.floor)

    def exact(self, scores: Mapping[str, Scores]) -> ExactScores:
        """Pool `scores`, each [row, class], leaving out members that weigh nothing."""
        used = [(weight, scores[name]) for name, weight in self.weights.by_member.items() if weight > 0]
        logs = np.zeros(used[0][1].shape, dtype=np.float64)
        for weight, score in used:
            logs += weight * floored_logs(score.astype(np.float64), self.floor)
        return tempered(logs, self.temperature)

    def __call__(self, scores: Mapping[str, Scores]) -> Scores:
        """Pool `scores` and round to float32."""
        return self.exact(scores).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Return the form that manifests hold."""
        return {"form": LOG, "temperature": self.temperature, "floor": self.floor}
