"""Parquet parts that are whole or not there: written under another name, synced, then renamed."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from model_store.durable import Disk, explained


@dataclass(frozen=True, slots=True)
class Part:
    """One finished file of results."""

    path: Path
    rows: int
    sha256: str


def write_parts(batches: Iterable[Any], folder: Path, batches_per_part: int) -> Iterator[Part]:
    """Write record batches, one row group each, to `part-00000.parquet` and on; give each part when done."""
    rest = iter(batches)
    for index, first in enumerate(rest):
        yield _write_part(
            folder / f"part-{index:05d}.parquet", chain([first], islice(rest, batches_per_part - 1))
        )


def _write_part(path: Path, batches: Iterable[Any]) -> Part:
    """Write one part; whatever happens, nothing half-written stays under `path`."""
    temp = path.with_name(f".{path.stem}-{os.getpid()}.partial")
    try:
        rows = _write_table(temp, batches)
        with explained("write scores to", path):
            with temp.open("rb") as file:
                os.fsync(file.fileno())
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            temp.replace(path)
            Disk().sync_folder(path.parent)
    finally:
        temp.unlink(missing_ok=True)
    return Part(path, rows, digest)


def _write_table(path: Path, batches: Iterable[Any]) -> int:
    """Write `batches`, all of one schema, to a Parquet file; return how many rows they had."""
    writer, rows = None, 0
    try:
        for batch in batches:
            # Only the writing is explained: the batches are scored as they are asked for.
            with explained("write scores to", path):
                writer = writer or pq.ParquetWriter(path, batch.schema)
                writer.write_batch(batch)
            rows += batch.num_rows
    finally:
        if writer is not None:
            with explained("write scores to", path):
                writer.close()
    return rows
