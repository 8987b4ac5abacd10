"""Parquet: read column by column, a page at a time."""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import InvalidDataError
from .source import Block, Wanted
from .table import check_columns, table_blocks, used_columns
from .tensors import Place

# Bytes read ahead for each column. Without it, or with Arrow's own pre-buffering, a whole row group is
# read at once, and most files are a single one.
BUFFER_SIZE = 1 << 20


@dataclass(frozen=True, slots=True)
class ParquetFile:
    """One Parquet file."""

    path: Path
    names: tuple[str, ...]
    starts: tuple[int, ...]  # the first row of each row group, then the number of all rows
    untyped: bool = False

    @classmethod
    def open(cls, path: Path) -> "ParquetFile":
        """Read the footer of `path`."""
        with _clear_errors(path), pq.ParquetFile(path) as file:
            groups = (file.metadata.row_group(index).num_rows for index in range(file.num_row_groups))
            return cls(path, tuple(file.schema_arrow.names), tuple(accumulate(groups, initial=0)))

    def check(self, wanted: Wanted) -> None:
        """Raise `InvalidDataError` unless the wanted columns are there."""
        check_columns(wanted, self.names, Place(self.path))

    def count(self, wanted: Wanted) -> int:  # noqa: ARG002 - all columns are of one length
        """How many rows the file has."""
        return self.starts[-1]

    def floor(self, row: int) -> int:
        """The first row of the row group that `row` is in."""
        return self.starts[self._group(row)]

    def _group(self, row: int) -> int:
        """The row group that `row` is in; behind the last row, the number of groups."""
        return bisect_right(self.starts, row) - 1

    def read(self, wanted: Wanted, rows: int, start: int = 0) -> Iterator[Block]:
        """Give the wanted columns in order from row `start`, `rows` rows at a time."""
        columns = used_columns(wanted, self.names, Place(self.path))
        groups = range(self._group(start), len(self.starts) - 1)
        options = {"buffer_size": BUFFER_SIZE, "pre_buffer": False}
        with _clear_errors(self.path), pq.ParquetFile(self.path, **options) as file:
            batches = file.iter_batches(batch_size=rows, columns=columns, row_groups=list(groups))
            skip = start - self.floor(start)
            yield from table_blocks(batches, wanted, Place(self.path, start), rows, skip)


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    """Turn what Arrow says about a broken file into our error."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InvalidDataError(f"{path}: can't be read as Parquet: {error}") from error
