"""NPZ and NPY: arrays read a few rows at a time from the file's stream; pickles never."""

import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from io import SEEK_CUR
from math import prod
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
import pyarrow as pa
from numpy.lib import format as npy
from numpy.typing import NDArray

from ..errors import InvalidDataError
from .damage import CUT, Damage, damaged_blocks, is_damage
from .opening import File, opened
from .source import Block, Raw, Wanted
from .tensors import Place

ENDING = ".npy"
ENDS = "the file ends before it is whole: write it again"
READ_SIZE = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Header:
    """What an array says of itself: [rows, ...], the dtype, whether it lies column by column."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_column: bool

    @property
    def size(self) -> int:
        """Bytes of the whole array."""
        return prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class NpzFile:
    """Named arrays with one rows axis. A single `.npy` is the array of the only input, whatever its name."""

    path: File
    headers: Mapping[str, Header]
    untyped: bool = False
    # What is wrong with an array of an archive; None: nothing. By name, once it was looked at.
    verified: dict[str, str | None] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, path: File, only_input: str | None) -> "NpzFile":
        """Read the headers of `path`; `only_input` names the array of a `.npy`."""
        if path.suffix == ENDING:
            if only_input is None:
                raise InvalidDataError(f"{path}: the ensemble has several inputs; store them by name in .npz")
            names = [only_input]
        else:
            with _clear_errors(path), opened(path) as file, zipfile.ZipFile(file) as archive:
                names = [name.removesuffix(ENDING) for name in archive.namelist() if name.endswith(ENDING)]
        headers = {}
        for name in names:
            with _clear_errors(path), ExitStack() as stack:
                # A small array is read whole with its header; whether its bytes are sound is asked later.
                headers[name] = _header(_stream(stack, path, name, verified=False), path, name)
        return cls(path, headers)

    def check(self, wanted: Wanted) -> None:
        """Raise `InvalidDataError` unless the wanted arrays are there and have the same number of rows."""
        names = _names(wanted)
        missing = [name for name in names if name not in self.headers]
        if missing:
            raise InvalidDataError(f"{self.path}: has no array {missing}; it has {sorted(self.headers)}")
        lengths = {name: self.headers[name].shape[:1] for name in names}
        if len(set(lengths.values())) > 1 or () in lengths.values():
            told = ", ".join(f"{name} {list(self.headers[name].shape)}" for name in names)
            raise InvalidDataError(
                f"{self.path}: arrays must have the same number of rows; shapes are {told}"
            )
        for spec in wanted.inputs:
            shape = self.headers[spec.name].shape
            if not spec.fits(shape) and prod(shape[1:]) != prod(spec.shape):
                raise InvalidDataError(
                    f"{self.path}: a row of {spec.name!r} has shape {list(shape[1:])},"
                    f" the ensemble takes {list(spec.shape)}"
                )

    def count(self, wanted: Wanted) -> int:
        """How many rows the wanted arrays have; other arrays may be of any length."""
        return self.headers[_names(wanted)[0]].shape[0]

    def floor(self, row: int) -> int:
        """The row itself in a `.npy`; a zip member is read from its start."""
        straight = self.path.suffix == ENDING and not any(
            header.by_column for header in self.headers.values()
        )
        return row if straight else 0

    def read(self, wanted: Wanted, rows: int, start: int = 0) -> Iterator[Block]:
        """Give the wanted arrays in order from row `start`, `rows` rows at a time."""
        names, place = _names(wanted), Place(self.path, start)
        total = self.count(wanted)
        if wanted.lenient and (why := self._damage(names)):
            yield from damaged_blocks(Damage(total - start, why), wanted, place, rows)
            return
        with ExitStack() as stack, _clear_errors(self.path):
            take = {name: _reader(stack, self.path, name, start) for name in names}
            for first in range(start, total, rows):
                count = min(rows, total - first)
                arrays = {name: take[name](first, count) for name in names}
                whole = min(len(array) for array in arrays.values())
                if whole < count and not wanted.lenient:
                    raise InvalidDataError(f"{self.path}: row {first + whole}: {ENDS}", code=CUT)
                if whole:
                    some = {name: array[:whole] for name, array in arrays.items()}
                    yield ArrayBlock(some, wanted, whole, Place(self.path, first))
                if whole < count:
                    lost = Damage(total - first - whole, ENDS, CUT)
                    yield from damaged_blocks(lost, wanted, Place(self.path, first + whole), rows)
                    return

    def _damage(self, names: Sequence[str]) -> str | None:
        """Say what is wrong with the bytes of an archive, by its CRCs: they cover arrays, not rows."""
        if self.path.suffix == ENDING:
            return None
        for name in names:
            if name not in self.verified:
                self.verified[name] = _unpacked_badly(self.path, name)
        return next(filter(None, (self.verified[name] for name in names)), None)


def _unpacked_badly(path: File, name: str) -> str | None:
    """Read one array of an archive to its end; return what is wrong with it."""
    try:
        with ExitStack() as stack, _clear_errors(path):
            stream = _stream(stack, path, name)
            while stream.read(READ_SIZE):
                pass
    except InvalidDataError as error:
        if not is_damage(error.__cause__ or error):
            raise
        why = str(error).removeprefix(f"{path}: ")
        return f"array {name!r} is damaged, and nothing tells which of its values are: {why}"
    return None


def _names(wanted: Wanted) -> list[str]:
    """The arrays in use, each once."""
    label = () if wanted.label is None else (wanted.label,)
    return list(dict.fromkeys((*(spec.name for spec in wanted.inputs), *label, *wanted.keep)))


@dataclass(frozen=True, slots=True)
class ArrayBlock:
    """Rows of arrays."""

    arrays: Mapping[str, NDArray[Any]]
    wanted: Wanted
    rows: int
    place: Place

    def slice(self, start: int, count: int) -> "ArrayBlock":
        """Return `count` of the rows, from `start`."""
        arrays = {name: array[start : start + count] for name, array in self.arrays.items()}
        return ArrayBlock(arrays, self.wanted, count, self.place.after(start))

    def only(self, wanted: Wanted) -> "ArrayBlock":
        """Return the same rows, of which no more is wanted than this."""
        return replace(self, wanted=wanted)

    def raw(self) -> Raw:
        """Sort the arrays into tensors, labels and what is kept."""
        return Raw(
            self.rows,
            {spec.name: self.arrays[spec.name] for spec in self.wanted.inputs},
            None if self.wanted.label is None else self.arrays[self.wanted.label],
            {name: _column(self.arrays[name], name, self.place) for name in self.wanted.keep},
        )


def _column(array: NDArray[Any], name: str, place: Place) -> Any:
    """Return an array as an Arrow column; more axes become lists of fixed size."""
    try:
        column = pa.array(array.reshape(-1))
    except pa.ArrowException as error:
        raise InvalidDataError(
            f"{place.path}: can't keep {name!r}, of dtype {array.dtype}: {error}"
        ) from None
    for size in reversed(array.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, size)
    return column


def _stream(stack: ExitStack, path: File, name: str, *, verified: bool = True) -> IO[bytes]:
    """Open the bytes of one array; each has a handle of its own, so several can be read in step."""
    if path.suffix == ENDING:
        return stack.enter_context(opened(path))
    archive = stack.enter_context(zipfile.ZipFile(stack.enter_context(opened(path))))
    info = copy(archive.getinfo(name + ENDING))
    if not verified:
        del info.CRC  # what has none isn't held against it
    return stack.enter_context(archive.open(info))


def _reader(stack: ExitStack, path: File, name: str, first: int) -> Callable[[int, int], NDArray[Any]]:
    """Return what gives `count` rows from row `start` of one array, or those that are there.

    To be called in order, from `first`.
    """
    stream = _stream(stack, path, name)
    header = _header(stream, path, name)
    if header.by_column:
        spilled = _spilled(stack, stream, header)
        return lambda start, count: np.ascontiguousarray(spilled[start : start + count])

    stream.seek(replace(header, shape=(first, *header.shape[1:])).size, SEEK_CUR)

    def take(_: int, count: int) -> NDArray[Any]:
        part = replace(header, shape=(count, *header.shape[1:]))
        data = stream.read(part.size)
        size = part.size // count
        whole = len(data) // size if size else count
        return np.frombuffer(data[: whole * size], part.dtype).reshape((whole, *part.shape[1:]))

    return take


def _spilled(stack: ExitStack, stream: IO[bytes], header: Header) -> NDArray[Any]:
    """Copy an array that lies column by column to a temp file, where rows can be picked from all columns.

    Where it ends too early, no row is whole, and none is returned.
    """
    # pandas' to_numpy gives such arrays, so they are common; a stream can't be read at many places at once.
    file = stack.enter_context(TemporaryFile())  # noqa: SIM115 - the stack is the context
    copyfileobj(stream, file)
    if file.tell() < header.size:
        return np.empty((0, *header.shape[1:]), header.dtype)
    file.flush()
    return np.memmap(file, header.dtype, "r", shape=header.shape, order="F")


def _header(stream: IO[bytes], path: File, name: str) -> Header:
    """Read an array's header, leaving `stream` at its first row."""
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, by_column, dtype = read(stream)
    if dtype.hasobject:
        raise InvalidDataError(
            f"{path}: array {name!r} holds Python objects, which are never read: store numbers or text"
        )
    return Header(shape, dtype, by_column)


@contextmanager
def _clear_errors(path: File) -> Iterator[None]:
    """Turn what zip, zlib and numpy say about a broken file into one error."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, OSError) as error:
        raise InvalidDataError(f"{path}: can't be read as {path.suffix}: {error}") from error
