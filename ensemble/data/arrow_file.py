"""Arrow IPC files, which are Feather files too: mapped into memory, one record batch after another.

A record batch that can't be unpacked, or holds what no batch may, is lost with all its rows. Files that
aren't compressed carry nothing by which other values could be told from those that were written.
"""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..errors import InvalidDataError
from .damage import Damage, blocks_around, is_damage
from .opening import File, opened
from .source import Block, Wanted
from .table import check_columns, used_columns
from .tensors import Place

MAGIC_BYTES = 8  # before the first message
NO_COLUMNS = pa.schema([])


@dataclass(frozen=True, slots=True)
class ArrowFile:
    """One Arrow IPC file (not a stream)."""

    path: File
    names: tuple[str, ...]
    starts: tuple[int, ...]  # the first row of each record batch, then the number of all rows
    untyped: bool = False

    @classmethod
    def open(cls, path: File) -> "ArrowFile":
        """Read the schema of `path`, and how many rows its batches have."""
        with _clear_errors(path), _bytes(path) as file:
            reader = pa.ipc.open_file(file)
            counts = _counts(file)
            if len(counts) != reader.num_record_batches:
                raise InvalidDataError(
                    f"{path}: has {len(counts)} record batches, and says {reader.num_record_batches}:"
                    " write it again"
                )
            return cls(path, tuple(reader.schema.names), tuple(accumulate(counts, initial=0)))

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
        with _clear_errors(self.path), _bytes(self.path) as file:
            fields = sorted(self.names.index(name) for name in used)
            reader = pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=fields))
            pieces = (
                self._batch(reader, index, wanted.lenient) for index in range(first, len(self.starts) - 1)
            )
            skip = start - self.floor(start)
            yield from blocks_around(pieces, wanted, Place(self.path, start), rows, skip)

    def _batch(self, reader: Any, index: int, lenient: bool) -> Any:
        """Read one record batch; if `lenient`, what can't be read is `Damage`."""
        try:
            batch = reader.get_batch(index)
            # What isn't packed isn't checked by reading it, and offsets may point anywhere.
            batch.validate(full=True)
        except (pa.ArrowException, OSError) as error:
            if not (lenient and is_damage(error)):
                raise
            rows = self.starts[index + 1] - self.starts[index]
            return Damage(rows, f"can't be read as Arrow, nor the rest of its record batch: {error}")
        return batch


def _bytes(file: File) -> Any:
    """Map a file into memory; one in a bucket is asked for what is used."""
    return pa.memory_map(str(file)) if isinstance(file, Path) else pa.PythonFile(opened(file), "r")


def _counts(file: Any) -> list[int]:
    """Return the rows of each record batch, as the messages say, without unpacking a column."""
    file.seek(MAGIC_BYTES)
    messages = pa.ipc.MessageReader.open_stream(file)
    return [
        pa.ipc.read_record_batch(message, NO_COLUMNS).num_rows
        for message in messages
        if message.type == "record batch"
    ]


@contextmanager
def _clear_errors(path: File) -> Iterator[None]:
    """Turn what Arrow says about a broken file into our error."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InvalidDataError(f"{path}: can't be read as an Arrow IPC file: {error}") from error
