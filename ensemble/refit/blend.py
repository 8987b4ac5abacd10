"""What competes in a refit: how much each member counts, and the form in which their scores are pooled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ..pooling.forms import FORMS
from ..pooling.linear import LINEAR
from ..pooling.pool import Pool
from ..pooling.tempering import FLOOR
from ..weights import Weights
from .objective import Vector


@dataclass(frozen=True, slots=True, eq=False)
class Blend:
    """Weights by position, and the parameters of their pool; a linear one of temperature 1 unless told."""

    weights: Vector  # [member], on the simplex
    form: str = LINEAR
    temperature: float = 1.0
    floor: float = FLOOR  # what a smaller score counts as, where logs are taken

    @classmethod
    def uniform(cls, members: int) -> Self:
        """Weigh `members` alike."""
        return cls(np.full(members, 1 / members))

    @classmethod
    def alone(cls, member: int, members: int) -> Self:
        """Give one of `members` all the weight."""
        return cls(np.eye(members)[member])

    @classmethod
    def of_pool(cls, pool: Pool, members: Sequence[str]) -> Self:
        """Take apart what is being served; `members` says in which order."""
        told: Mapping[str, Any] = pool.to_json()
        weights = np.array([pool.weights.by_member[name] for name in members])
        return cls(weights, told["form"], told.get("temperature", 1.0), told.get("floor", FLOOR))

    @property
    def voters(self) -> list[int]:
        """The members that weigh something, by their place."""
        return [int(index) for index in np.flatnonzero(self.weights)]

    @property
    def plain(self) -> bool:
        """Whether this is a weighted average and nothing else."""
        return self.form == LINEAR and self.temperature == 1

    def pool(self, members: Sequence[str]) -> Pool:
        """Return the pool that serves this."""
        weights = Weights(dict(zip(members, self.weights.tolist(), strict=True)))
        return FORMS[self.form](weights, self.temperature, self.floor)

    def same_pool(self, other: "Blend") -> bool:
        """Whether the other pools in the same form, whatever its weights."""
        return self.plain == other.plain and (
            self.plain
            or (self.form, self.temperature, self.floor) == (other.form, other.temperature, other.floor)
        )
