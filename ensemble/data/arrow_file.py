"""Arrow IPC files, which are Feather files too: mapped into memory, one record batch after another."""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..errors import InvalidDataError
from .source import Block, Wanted
from .table import check_columns, table_blocks, used_columns
from .tensors import Place


@dataclass(frozen=True, slots=True)
class ArrowFile:
    """One Arrow IPC file (not a stream)."""

    path: Path
    names: tuple[str, ...]
    starts: tuple[int, ...]  # the first row of each record batch, then the number of all rows
    untyped: bool = False

    @classmethod
    def open(cls, path: Path) -> "ArrowFile":
        """Read the schema of `path`, and how many rows its batches have."""
        with _clear_errors(path), pa.memory_map(str(path)) as file:
            names = tuple(pa.ipc.open_file(file).schema.names)
            # One column is enough to count, and spares unpacking the others.
            reader = _reader(file, [0] if names else [])
            counts = (reader.get_batch(index).num_rows for index in range(reader.num_record_batches))
            return cls(path, names, tuple(accumulate(counts, initial=0)))

    def check(self, wanted: Wanted) -> None:
        """Raise `InvalidDataError` unless the wanted columns are there."""
        check_columns(wanted, self.names, Place(self.path))

    def count(self, wanted: Wanted) -> int:  # noqa: ARG002 - all columns are of one length
        """How many rows the file has."""
        return self.starts[-1]

    def floor(self, row: int) -> int:
        """The first row of the record batch that `row` is in."""
        return self.starts[bisect_right(self.starts, row) - 1]

    def read(self, wanted: Wanted, rows: int, start: int = 0) -> Iterator[Block]:
        """Give the wanted columns in order from row `start`, `rows` rows at a time."""
        used = used_columns(wanted, self.names, Place(self.path))
        first = bisect_right(self.starts, start) - 1
        with _clear_errors(self.path), pa.memory_map(str(self.path)) as file:
            reader = _reader(file, sorted(self.names.index(name) for name in used))
            batches = (reader.get_batch(index) for index in range(first, reader.num_record_batches))
            skip = start - self.floor(start)
            yield from table_blocks(batches, wanted, Place(self.path, start), rows, skip)


def _reader(file: Any, fields: list[int]) -> Any:
    """Open the columns of those numbers."""
    return pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=fields))


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    """Turn what Arrow says about a broken file into our error."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InvalidDataError(f"{path}: can't be read as an Arrow IPC file: {error}") from error
