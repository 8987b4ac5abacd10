"""Rows on their way from a file to the members."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..member import Rows, row_count
from .opening import File


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of one file, which follow each other unless `numbers` says otherwise.

    `start` is the first one's place in the whole dataset, `row` its place in `source`, both from 0.
    """

    rows: Rows
    labels: NDArray[Any] | None  # class indices [row], or [row, column]: yes or no, or values
    start: int
    source: File
    row: int
    kept: Mapping[str, Any] = field(default_factory=dict)  # name -> pyarrow array
    numbers: NDArray[np.int64] | None = None  # each row's place in `source`, where some were left out
    named_by: str | None = None  # which of `kept` names the rows

    @property
    def row_numbers(self) -> NDArray[np.int64]:
        """Each row's place in `source`."""
        if self.numbers is not None:
            return self.numbers
        return np.arange(self.row, self.row + row_count(self.rows), dtype=np.int64)

    @property
    def identity(self) -> Any:
        """The name of the first row, an Arrow scalar; None if rows have no names."""
        return None if self.named_by is None else self.kept[self.named_by][0]

    def slice(self, start: int, count: int) -> "Chunk":
        """Return `count` of the rows, from `start`."""
        stop = start + count
        return Chunk(
            {name: array[start:stop] for name, array in self.rows.items()},
            None if self.labels is None else self.labels[start:stop],
            self.start + start,
            self.source,
            int(self.row_numbers[start]),
            {name: column.slice(start, count) for name, column in self.kept.items()},
            self.row_numbers[start:stop],
            self.named_by,
        )
