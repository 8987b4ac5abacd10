"""What every file format gives: its rows, in order, a bounded number at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from ..signature import TensorSpec


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to read from each file: tensors by name, the labels, columns to pass through as they are."""

    inputs: tuple[TensorSpec, ...]
    label: str | None = None
    keep: tuple[str, ...] = ()

    @property
    def only_label(self) -> "Wanted":
        """The same, without tensors and kept columns: enough to check the labels first."""
        return Wanted((), self.label)


@dataclass(frozen=True, slots=True)
class Raw:
    """Some rows as the file has them: shapes and dtypes are not yet those of the signature.

    A tensor is [row, ...]: the axes after the first may be flat where the file can't tell.
    """

    rows: int
    inputs: Mapping[str, NDArray[Any]]
    label: NDArray[Any] | None
    kept: Mapping[str, Any]  # name -> pyarrow array


class Source(Protocol):
    """One data file, opened. Holds no rows and no open file between two reads."""

    @property
    def path(self) -> Path:
        """Where it lies, as the caller named it."""
        ...

    @property
    def untyped(self) -> bool:
        """Whether all values are text, so that 1 and "1" look the same."""
        ...

    def check(self, wanted: Wanted) -> None:
        """Raise `InvalidDataError` unless the file has all that is wanted, as far as its header tells."""
        ...

    def count(self, wanted: Wanted) -> int:
        """How many rows there are of what is wanted."""
        ...

    def read(self, wanted: Wanted, rows: int) -> Iterator[Raw]:
        """Give what is wanted in file order, `rows` rows at a time; only the last may be shorter."""
        ...
