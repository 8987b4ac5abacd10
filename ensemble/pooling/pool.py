"""What the ensemble asks of a pool."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..member import Scores
from ..weights import Weights

# [row, class]
ExactScores = NDArray[np.float64]


class Pool(Protocol):
    """How members' scores become one. `tests/conformance` checks what every pool must keep.

    Immutable, and called from any thread. A row's pooled scores never depend, in any bit, on which rows
    share its batch: values are added up member by member and class by class, never by a matrix product.
    """

    @property
    def weights(self) -> Weights:
        """How much each member counts; one that weighs nothing is neither asked nor looked at."""
        ...

    def exact(self, scores: Mapping[str, Scores]) -> ExactScores:
        """Pool `scores`, each [row, class] and one for every member that weighs something, in float64."""
        ...

    def __call__(self, scores: Mapping[str, Scores]) -> Scores:
        """Pool as `exact` does, and round to float32: what is served."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return the form that manifests hold: "form" and its parameters; the weights are kept apart."""
        ...
