"""Parquet: read column by column, a page at a time.

Of a row group with a damaged page, the rows before that page are good, and from there on all are lost. Damage
shows where the page has a CRC, which is verified, or where it can't be unpacked.
"""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import InvalidDataError
from .damage import Damage, blocks_around, is_damage
from .opening import File, for_arrow
from .source import Block, Wanted
from .table import check_columns, used_columns
from .tensors import Place

# Bytes read ahead for each column. Without it, or with Arrow's own pre-buffering, a whole row group is
# read at once, and most files are a single one.
BUFFER_SIZE = 1 << 20


@dataclass(frozen=True, slots=True)
class ParquetFile:
    """One Parquet file."""

    path: File
    names: tuple[str, ...]
    starts: tuple[int, ...]  # the first row of each row group, then the number of all rows
    untyped: bool = False

    @classmethod
    def open(cls, path: File) -> "ParquetFile":
        """Read the footer of `path`."""
        with _clear_errors(path), pq.ParquetFile(for_arrow(path)) as file:
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
        options = {"buffer_size": BUFFER_SIZE, "pre_buffer": False, "page_checksum_verification": True}
        with _clear_errors(self.path), pq.ParquetFile(for_arrow(self.path), **options) as file:
            groups = range(self._group(start), len(self.starts) - 1)
            pieces = (
                piece
                for group in groups
                for piece in self._pieces(file, group, columns, rows, wanted.lenient)
            )
            yield from blocks_around(pieces, wanted, Place(self.path, start), rows, start - self.floor(start))

    def _pieces(self, file: Any, group: int, columns: list[str], rows: int, lenient: bool) -> Iterator[Any]:
        """Give the batches of one row group; if `lenient`, what is lost of it as `Damage`."""
        done = 0
        try:
            for batch in _batches(file, group, columns, rows):
                yield batch
                done += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            if not (lenient and is_damage(error)):
                raise
            why = f"can't be read as Parquet, nor the rest of its row group: {error}"
        else:
            return
        # One at a time, up to the very row, whatever `rows` is. Slow, and only where a page is damaged.
        with suppress(pa.ArrowException, OSError):
            for index, batch in enumerate(_batches(file, group, columns, 1)):
                if index >= done:
                    yield batch
                    done += 1
        yield Damage(self.starts[group + 1] - self.starts[group] - done, why)


def _batches(file: Any, group: int, columns: list[str], rows: int) -> Iterator[Any]:
    """Give one row group, `rows` rows at a time."""
    batches: Iterator[Any] = file.iter_batches(batch_size=rows, columns=columns, row_groups=[group])
    return batches


@contextmanager
def _clear_errors(path: File) -> Iterator[None]:
    """Turn what Arrow says about a broken file into our error."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InvalidDataError(f"{path}: can't be read as Parquet: {error}") from error
