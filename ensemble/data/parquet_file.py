"""Parquet: read column by column, a page at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import InvalidDataError
from .source import Raw, Wanted
from .table import check_columns, rebatched, to_raw, used_columns
from .tensors import Place

# Bytes read ahead for each column. Without it, or with Arrow's own pre-buffering, a whole row group is
# read at once, and most files are a single one.
BUFFER_SIZE = 1 << 20


@dataclass(frozen=True, slots=True)
class ParquetFile:
    """One Parquet file."""

    path: Path
    names: tuple[str, ...]
    total: int
    untyped: bool = False

    @classmethod
    def open(cls, path: Path) -> "ParquetFile":
        """Read the footer of `path`."""
        with _clear_errors(path), pq.ParquetFile(path) as file:
            return cls(path, tuple(file.schema_arrow.names), file.metadata.num_rows)

    def check(self, wanted: Wanted) -> None:
        """Raise `InvalidDataError` unless the wanted columns are there."""
        check_columns(wanted, self.names, Place(self.path))

    def count(self, wanted: Wanted) -> int:  # noqa: ARG002 - all columns are of one length
        """How many rows the file has."""
        return self.total

    def read(self, wanted: Wanted, rows: int) -> Iterator[Raw]:
        """Give the wanted columns in order, `rows` rows at a time."""
        columns = used_columns(wanted, self.names, Place(self.path))
        start = 0
        options = {"buffer_size": BUFFER_SIZE, "pre_buffer": False}
        with _clear_errors(self.path), pq.ParquetFile(self.path, **options) as file:
            for batch in rebatched(file.iter_batches(batch_size=rows, columns=columns), rows):
                yield to_raw(batch, wanted, Place(self.path, start))
                start += batch.num_rows


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    """Turn what Arrow says about a broken file into our error."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InvalidDataError(f"{path}: can't be read as Parquet: {error}") from error
