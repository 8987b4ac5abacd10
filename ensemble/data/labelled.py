"""Rows with what is true of them: a class, several labels, or values.

Classes are one label a row, checked by their rule. Labels and values are read as a tensor of the name of the
label column: an array [row] or [row, column], a column of lists, or the columns NAME_0, NAME_1, ...
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..signature import ANY_SIZE, Signature, TensorSpec
from ..truth import Truth
from .chunk import Chunk
from .dataset import Dataset, open_dataset
from .opening import File

READ_ROWS = 65_536


class LabelledFiles(Protocol):
    """What `open_labelled` gives: a dataset whose chunks have labels."""

    @property
    def rows(self) -> int:
        """How many rows all files hold."""
        ...

    @property
    def digest(self) -> str:
        """The sha256 of the files, in hex."""
        ...

    @property
    def files(self) -> tuple[File, ...]:
        """The files, in the order in which they are read."""
        ...

    @property
    def counts(self) -> tuple[int, ...]:
        """How many rows each file holds."""
        ...

    def batches(self, rows: int, start: int = 0, stop: int | None = None) -> Iterator[Chunk]:
        """Give the rows from `start` to before `stop`, labelled, in order, at most `rows` at a time."""
        ...


@dataclass(frozen=True, slots=True)
class Answered:
    """A dataset one of whose tensors is what is true of its rows."""

    dataset: Dataset
    told: TensorSpec
    truth: Truth

    @property
    def rows(self) -> int:
        """How many rows all files hold."""
        return self.dataset.rows

    @property
    def digest(self) -> str:
        """The sha256 of the files, in hex."""
        return self.dataset.digest

    @property
    def files(self) -> tuple[File, ...]:
        """The files, in the order in which they are read."""
        return self.dataset.files

    @property
    def counts(self) -> tuple[int, ...]:
        """How many rows each file holds."""
        return self.dataset.counts

    def batches(self, rows: int, start: int = 0, stop: int | None = None) -> Iterator[Chunk]:
        """Give the rows with their labels [row, column]: yes or no, or float64."""
        for chunk in self.dataset.batches(rows, start, stop):
            inputs = {name: array for name, array in chunk.rows.items() if name != self.told.name}
            yield replace(chunk, rows=inputs, labels=self._told(chunk))

    def check(self) -> None:
        """Read what is true of each row; InvalidDataError for what isn't finite, or neither yes nor no."""
        for chunk in self.dataset.batches(READ_ROWS):
            self._told(chunk)

    def _told(self, chunk: Chunk) -> NDArray[Any]:
        found = chunk.rows[self.told.name]
        fine = np.isfinite(found) if self.truth is Truth.VALUES else (found == 0) | (found == 1)
        if not fine.all():
            row = int(np.argmin(fine.all(axis=1)))
            value = found[row][~fine[row]][0]
            wanted = "finite numbers" if self.truth is Truth.VALUES else "1 where a row has the label, else 0"
            raise InvalidDataError(
                f"{chunk.source}: row {chunk.row + row}: {self.told.name!r} is {value:g}; allowed are"
                f" {wanted}"
            )
        return found if self.truth is Truth.VALUES else found.astype(np.bool_)


def open_labelled(
    paths: Sequence[str | Path],
    signature: Signature,
    label: str,
    *,
    truth: Truth = Truth.CLASSES,
    classes: Sequence[str] = (),
    keep: Sequence[str] = (),
) -> LabelledFiles:
    """Open `paths` as rows for `signature`'s inputs, with what `label` says of each row; InvalidDataError.

    All labels are checked, before anything else is done with the rows.
    """
    if truth is Truth.CLASSES:
        return open_dataset(paths, signature, label=label, classes=classes, keep=keep)
    if signature.input(label) is not None:
        raise InvalidDataError(f"{label!r} is an input of the ensemble: name the column of what is true")
    columns = (signature.outputs[0].shape or (ANY_SIZE,))[-1]
    told = TensorSpec(label, "float64", (columns,))
    # By itself first: a file that lies is told of before any row is read.
    Answered(open_dataset(paths, Signature((told,), signature.outputs)), told, truth).check()
    both = Signature((*signature.inputs, told), signature.outputs)
    return Answered(open_dataset(paths, both, keep=keep), told, truth)
