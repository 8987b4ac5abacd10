"""What every file format gives: its rows, in order, a bounded number at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from numpy.typing import NDArray

from ..signature import TensorSpec
from .opening import File
from .tensors import Place


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to read from each file: tensors by name, the labels, columns to pass through as they are.

    `lenient`: a row that can't be parsed must not hide the rows after it. `identity`: the one of `keep` that
    names a row, also where the row is bad.
    """

    inputs: tuple[TensorSpec, ...]
    label: str | None = None
    keep: tuple[str, ...] = ()
    lenient: bool = False
    identity: str | None = None

    @property
    def only_label(self) -> "Wanted":
        """The same, without tensors and kept columns: enough to check the labels first."""
        return Wanted((), self.label)

    @property
    def unlabelled(self) -> "Wanted":
        """The same, without labels: enough to know the types of what is kept."""
        return replace(self, label=None)

    @property
    def only_identity(self) -> "Wanted":
        """The same, without all that may be wrong with a row: enough to name it."""
        return Wanted((), None, () if self.identity is None else (self.identity,), self.lenient)


@dataclass(frozen=True, slots=True)
class Raw:
    """Some rows as the file has them: shapes and dtypes are not yet those of the signature.

    A tensor is [row, ...]: the axes after the first may be flat where the file can't tell.
    """

    rows: int
    inputs: Mapping[str, NDArray[Any]]
    label: NDArray[Any] | None
    kept: Mapping[str, Any]  # name -> pyarrow array


class Block(Protocol):
    """Some rows that follow each other in a file, read but not looked at: they may hold anything."""

    @property
    def rows(self) -> int:
        """How many they are."""
        ...

    @property
    def place(self) -> Place:
        """Where the first of them is."""
        ...

    @property
    def wanted(self) -> Wanted:
        """What `raw` gives."""
        ...

    def slice(self, start: int, count: int) -> "Block":
        """Return `count` of the rows, from `start`, counted within this block."""
        ...

    def only(self, wanted: Wanted) -> "Block":
        """Return the same rows, of which no more is wanted than this."""
        ...

    def raw(self) -> Raw:
        """Return them as arrays; `InvalidDataError` if one of them isn't of the others' kind."""
        ...


class Source(Protocol):
    """One data file, opened. Holds no rows and no open file between two reads."""

    @property
    def path(self) -> File:
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

    def floor(self, row: int) -> int:
        """The row at which reading from `row` has to begin: `row` where the format can go there at once."""
        ...

    def read(self, wanted: Wanted, rows: int, start: int = 0) -> Iterator[Block]:
        """Give what is wanted in file order from row `start`, `rows` at a time; the last may be fewer."""
        ...
