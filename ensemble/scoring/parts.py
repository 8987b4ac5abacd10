"""Parquet files written under a passing name, on disk when they are handed over."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from model_store.durable import explained

from ..data.sifting import BadRow
from .ledger import FileRecord

ERRORS_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),
    ]
)


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


def errors_batch(rows: Iterable[BadRow]) -> Any:
    """Return the rows that could not be scored as a record batch."""
    told = [
        {"source": str(row.source), "row": row.row, "code": row.code, "message": row.message} for row in rows
    ]
    return pa.RecordBatch.from_pylist(told, schema=ERRORS_SCHEMA)
