"""What the ensemble asks of a member."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .signature import Signature

# Input name -> array; the first axis of every array counts the same rows.
Rows = Mapping[str, NDArray[Any]]
# [row, class]
Scores = NDArray[np.float32]


def row_count(rows: Rows) -> int:
    """How many rows `rows` holds."""
    return len(next(iter(rows.values())))


class Together(Protocol):
    """Several members that are run at once, because that is faster."""

    @property
    def names(self) -> frozenset[str]:
        """The members' names."""
        ...

    def predict(self, rows: Rows) -> Mapping[str, Scores]:
        """Score `rows` with each: by name, bit for bit what each of them gives alone."""
        ...


@dataclass(slots=True)
class Room:
    """How many rows memory has room for where members run together; as far as is known, for any number.

    They fail as one, whoever's fault it is. Only if each of them then takes the same rows by itself was it
    for want of memory; so whoever asked them says it, and half as many rows is the most from then on.
    """

    most: int | None = None

    def has(self, rows: int) -> bool:
        """Whether so many rows are worth a try."""
        return self.most is None or rows <= self.most

    def was_short(self, rows: int) -> None:
        """Remember that there was none for so many rows."""
        self.most = rows // 2 if self.most is None else min(self.most, rows // 2)


class Member(Protocol):
    """One trained model. `tests/conformance` checks what every member must keep."""

    @property
    def name(self) -> str:
        """The name its weight is filed under."""
        ...

    @property
    def runtime(self) -> str:
        """The name of what executes it."""
        ...

    @property
    def digest(self) -> str:
        """The sha256 of the file it was published as, in hex; its weight is tied to it."""
        ...

    @property
    def signature(self) -> Signature:
        """What it takes: a subset of the ensemble's inputs; and its one output, the scores."""
        ...

    def predict(self, rows: Rows) -> Scores:
        """Score `rows`, in order, one float32 output row each, whatever rows share the batch.

        Inputs that the member doesn't name are ignored. Called from any thread, several at once.
        """
        ...
