"""CSV with a header line: parsed a block at a time, by the types that the signature asks for.

Text has no types, so labels and kept columns are read as text: "007" stays "007".
"""

import csv as lines
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import TextIOWrapper
from itertools import islice
from typing import Any, cast

import pyarrow as pa
from pyarrow import csv

from ..errors import InvalidDataError
from .damage import CUT, Damage
from .opening import ROW_BYTES_AT_MOST, EndsEarlyError, File, for_arrow, opened
from .source import Block, Raw, Wanted
from .table import check_columns, columns_of, table_blocks, to_raw, used_columns
from .tensors import Place

# Bytes parsed at once. A line must fit, with its thousands of columns if the input is an image; Arrow reads
# some blocks ahead, so memory is about forty times this.
BLOCK_SIZE = 1 << 20


@dataclass(frozen=True, slots=True)
class CsvFile:
    """One CSV file, separated by commas, with the names in its first line."""

    path: File
    names: tuple[str, ...]
    untyped: bool = True

    @classmethod
    def open(cls, path: File) -> "CsvFile":
        """Read the names in the first line of `path`."""
        with _clear_errors(path):
            names = next(_records(path), None)
        if names is None or isinstance(names, Damage):
            raise InvalidDataError(f"{path}: can't be read as CSV: Empty CSV file")
        return cls(path, tuple(names))

    def check(self, wanted: Wanted) -> None:
        """Raise `InvalidDataError` unless the wanted columns are there."""
        check_columns(wanted, self.names, Place(self.path))

    def count(self, wanted: Wanted) -> int:
        """Read the whole file once and count its rows."""
        column = used_columns(wanted, self.names, Place(self.path))[0]
        options = csv.ConvertOptions(include_columns=[column], column_types={column: pa.string()})
        try:
            with _clear_errors(self.path), _open(self.path, options) as reader:
                return sum(batch.num_rows for batch in reader)
        except InvalidDataError:
            if not wanted.lenient:
                raise
        with _clear_errors(self.path):
            return sum(1 for _ in _records(self.path)) - 1

    def floor(self, row: int) -> int:  # noqa: ARG002 - where a row begins can't be known
        """The first row: a line may be part of a value, so there is no way into the middle."""
        return 0

    def read(self, wanted: Wanted, rows: int, start: int = 0) -> Iterator[Block]:
        """Give the wanted columns in order from row `start`, `rows` rows at a time."""
        types = self._types(wanted)
        done = start
        try:
            for block in self._parsed(wanted, types, rows, start):
                yield block
                done += block.rows
        except InvalidDataError:
            if not wanted.lenient:
                raise
        else:
            return
        # Arrow says nothing of a block with one bad value, so from there on each row is parsed by itself.
        with _clear_errors(self.path):
            records = islice(_records(self.path), 1 + done, None)
            while some := list(islice(records, rows)):
                yield TextBlock(some, self.names, types, wanted, Place(self.path, done))
                done += len(some)

    def _parsed(self, wanted: Wanted, types: dict[str, Any], rows: int, start: int) -> Iterator[Block]:
        """Give the rows as Arrow parses them: fast, all or nothing."""
        options = csv.ConvertOptions(include_columns=list(types), column_types=types)
        with _clear_errors(self.path), _open(self.path, options) as reader:
            yield from table_blocks(reader, wanted, Place(self.path, start), rows, start)

    def _types(self, wanted: Wanted) -> dict[str, Any]:
        """Return the Arrow type that each column in use is parsed as."""
        place = Place(self.path)
        types = dict.fromkeys(used_columns(wanted, self.names, place), pa.string())
        for spec in wanted.inputs:
            types |= dict.fromkeys(columns_of(spec, self.names, place), _parsed_as(spec.dtype))
        return types


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Rows as lists of texts, any of which may be wrong."""

    records: list[list[str] | Damage]
    names: tuple[str, ...]
    types: dict[str, Any]
    wanted: Wanted
    place: Place

    @property
    def rows(self) -> int:
        """How many they are."""
        return len(self.records)

    def slice(self, start: int, count: int) -> "TextBlock":
        """Return `count` of the rows, from `start`."""
        some = self.records[start : start + count]
        return TextBlock(some, self.names, self.types, self.wanted, self.place.after(start))

    def only(self, wanted: Wanted) -> "TextBlock":
        """Return the same rows, of which no more is wanted than this."""
        return replace(self, wanted=wanted)

    def raw(self) -> Raw:
        """Parse them, or raise `InvalidDataError`."""
        for index, record in enumerate(self.records):
            if isinstance(record, Damage):
                raise InvalidDataError(f"{self.place.row(index)}: {record.why}", code=record.code)
            if len(record) != len(self.names):
                raise InvalidDataError(
                    f"{self.place.row(index)}: has {len(record)} values, the header {len(self.names)} names",
                    code="columns",
                )
        used = used_columns(self.wanted, self.names, self.place)
        batch = pa.record_batch([self._column(name, self.types[name]) for name in used], names=used)
        return to_raw(batch, self.wanted, self.place)

    def _column(self, name: str, dtype: Any) -> Any:
        """Parse one column by the rules that Arrow's reader of CSV has."""
        index = self.names.index(name)
        texts = [None if isinstance(record, Damage) else record[index] for record in self.records]
        try:
            if dtype == pa.string():
                return pa.array(texts, dtype)
            missing = frozenset(csv.ConvertOptions().null_values)
            bare = (text.strip(" \t") for text in texts if text is not None)
            return pa.array([None if text in missing else text for text in bare], pa.string()).cast(dtype)
        except (pa.ArrowException, UnicodeEncodeError) as error:
            raise InvalidDataError(
                f"{self.place.row(0)}: column {name!r} can't be read: {error}", code="parse"
            ) from None


def _records(path: File) -> Iterator[list[str] | Damage]:
    """Give the lines as lists of texts, the header first; empty lines are no rows, as in Arrow."""
    # BufferedReader is what it is; IO[bytes] is what its opener may promise.
    with TextIOWrapper(cast("Any", opened(path)), "utf-8-sig", "surrogateescape", newline="") as file:
        try:
            yield from (record for record in lines.reader(_lines(file, path)) if record)
        except EndsEarlyError as error:
            yield Damage(1, str(error), CUT)


def _lines(file: TextIOWrapper, path: File) -> Iterator[str]:
    """Give the lines; none may be without an end."""
    while line := file.readline(ROW_BYTES_AT_MOST):
        if len(line) == ROW_BYTES_AT_MOST:
            raise InvalidDataError(f"{path}: has a line of over {ROW_BYTES_AT_MOST:,} characters: split it")
        yield line


def _parsed_as(dtype: str) -> Any:
    """Return the Arrow type that text is parsed as: the widest of its kind; narrowing is checked later."""
    if dtype == "bytes":
        return pa.string()
    if dtype in ("bool", "uint64"):
        return pa.type_for_alias(dtype)
    return pa.float64() if dtype.startswith("float") else pa.int64()


def _open(path: File, options: Any) -> Any:
    """Open a reader that parses one block after another."""
    # Arrow would unpack it too, and says nothing where it ends early.
    return csv.open_csv(
        for_arrow(path),
        read_options=csv.ReadOptions(block_size=BLOCK_SIZE),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=options,
    )


@contextmanager
def _clear_errors(path: File) -> Iterator[None]:
    """Turn what Arrow and Python say about a broken file into our error."""
    try:
        yield
    except (pa.ArrowException, lines.Error, OSError) as error:
        raise InvalidDataError(f"{path}: can't be read as CSV: {error}") from error
