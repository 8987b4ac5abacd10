"""Parquet files written under a passing name, on disk when they are handed over."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from model_store.durable import explained

from ..data.sifting import BadRow
from .ledger import FileRecord


def write_parquet(temp: Path, final: str, schema: Any, batches: Iterable[Any]) -> FileRecord:
    """Write `batches`, one row group each, to `temp`; return what is to be known of it as `final`."""
    rows = 0
    with explained("write scores to", temp):
        temp.parent.mkdir(exist_ok=True)
        writer = pq.ParquetWriter(temp, schema)
    try:
        for batch in batches:
            # Only the writing is explained: the batches are scored as they are asked for.
            with explained("write scores to", temp):
                writer.write_batch(batch)
            rows += batch.num_rows
    finally:
        with explained("write scores to", temp):
            writer.close()
    with explained("write scores to", temp), temp.open("rb") as file:
        os.fsync(file.fileno())
        return FileRecord(final, rows, temp.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def errors_batch(rows: Sequence[BadRow], schema: Any, identity: str | None) -> Any:
    """Return the rows that could not be scored as a record batch; the column `identity` has their names."""
    columns = {
        "source": [str(row.source) for row in rows],
        "row": [row.row for row in rows],
        "code": [row.code for row in rows],
        "message": [row.message for row in rows],
    }
    if identity is not None:
        columns[identity] = [_as_type(row.identity, schema.field(identity).type) for row in rows]
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return pa.record_batch(arrays, schema=schema)


def _as_type(value: Any, dtype: Any) -> Any:
    """Return a scalar as `dtype`; a missing one where it isn't of that kind."""
    try:
        return None if value is None else value.cast(dtype)
    except pa.ArrowException:
        return None
