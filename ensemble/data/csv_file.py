"""CSV with a header line: parsed a block at a time, by the types that the signature asks for.

Text has no types, so labels and kept columns are read as text: "007" stays "007".
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv

from ..errors import InvalidDataError
from .source import Raw, Wanted
from .table import check_columns, columns_of, rebatched, to_raw, used_columns
from .tensors import Place

# Bytes parsed at once. A line must fit, with its thousands of columns if the input is an image; Arrow reads
# some blocks ahead, so memory is about forty times this.
BLOCK_SIZE = 1 << 20


@dataclass(frozen=True, slots=True)
class CsvFile:
    """One CSV file, separated by commas, with the names in its first line."""

    path: Path
    names: tuple[str, ...]
    untyped: bool = True

    @classmethod
    def open(cls, path: Path) -> "CsvFile":
        """Read the names in the first line of `path`."""
        with _clear_errors(path), _open(path, csv.ConvertOptions()) as reader:
            return cls(path, tuple(reader.schema.names))

    def check(self, wanted: Wanted) -> None:
        """Raise `InvalidDataError` unless the wanted columns are there."""
        check_columns(wanted, self.names, Place(self.path))

    def count(self, wanted: Wanted) -> int:
        """Read the whole file once and count its rows."""
        column = used_columns(wanted, self.names, Place(self.path))[0]
        options = csv.ConvertOptions(include_columns=[column], column_types={column: pa.string()})
        with _clear_errors(self.path), _open(self.path, options) as reader:
            return sum(batch.num_rows for batch in reader)

    def read(self, wanted: Wanted, rows: int) -> Iterator[Raw]:
        """Give the wanted columns in order, `rows` rows at a time."""
        place = Place(self.path)
        used = used_columns(wanted, self.names, place)
        types = dict.fromkeys(used, pa.string())
        for spec in wanted.inputs:
            types |= dict.fromkeys(columns_of(spec, self.names, place), _parsed_as(spec.dtype))
        options = csv.ConvertOptions(include_columns=used, column_types=types)
        start = 0
        with _clear_errors(self.path), _open(self.path, options) as reader:
            for batch in rebatched(reader, rows):
                yield to_raw(batch, wanted, Place(self.path, start))
                start += batch.num_rows


def _parsed_as(dtype: str) -> Any:
    """Return the Arrow type that text is parsed as: the widest of its kind; narrowing is checked later."""
    if dtype == "bytes":
        return pa.string()
    if dtype in ("bool", "uint64"):
        return pa.type_for_alias(dtype)
    return pa.float64() if dtype.startswith("float") else pa.int64()


def _open(path: Path, options: Any) -> Any:
    """Open a reader that parses one block after another."""
    return csv.open_csv(
        path,
        read_options=csv.ReadOptions(block_size=BLOCK_SIZE),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=options,
    )


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    """Turn what Arrow says about a broken file into our error."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InvalidDataError(f"{path}: can't be read as CSV: {error}") from error
