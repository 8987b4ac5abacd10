"""Batch scoring: rows from files -> the servable's scores -> Parquet parts, in order, in bounded memory."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pyarrow as pa

from ..data.dataset import Chunk, Dataset
from ..data.table import rebatched
from ..errors import InvalidDataError
from ..member import Scores
from ..servable import Servable
from .job import Job, claim_folder, write_success
from .parts import write_parts

OWN_COLUMNS = ("source", "row", "scores")
# Rows written at once: small enough to hold in memory with a thousand classes, large enough to read fast.
GROUP_ROWS = 8192

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """How a job runs. `batch_size` changes the speed only, `groups_per_part` how large a file gets."""

    batch_size: int = 256
    groups_per_part: int = 16  # of 8192 rows each

    def __post_init__(self) -> None:
        """Refuse sizes that hold no row."""
        if self.batch_size < 1 or self.groups_per_part < 1:
            raise InvalidDataError(
                f"batch size and groups in a part must be >= 1; got {self.batch_size}, {self.groups_per_part}"
            )

    @property
    def part_rows(self) -> int:
        """How many rows every part but the last has."""
        return GROUP_ROWS * self.groups_per_part


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """What a job wrote. `already_done`: an earlier run had, and this one only looked."""

    rows: int
    parts: tuple[Path, ...]
    seconds: float
    already_done: bool = False


def score(
    servable: Servable,
    dataset: Dataset,
    output: Path,
    options: ScoreOptions | None = None,
    *,
    on_progress: Progress | None = None,
) -> ScoreResult:
    """Score every row of `dataset`, in order, into `output/part-*.parquet`; then write `_SUCCESS.json`.

    The scores are bit for bit those of `servable.score`. `on_progress` is called with the rows done so far.
    A job that was cut off starts again; one that is done is left alone. Raises `InvalidDataError` for
    bad rows and for a folder with other results, `StoreUnavailableError` if it can't be written.
    """
    options = options or ScoreOptions()
    clash = sorted(set(dataset.keep) & set(OWN_COLUMNS))
    if clash:
        raise InvalidDataError(f"can't keep {clash}: the results have columns of that name; rename yours")
    began = monotonic()
    job = Job.of(servable, dataset, options.part_rows)
    done = claim_folder(output, job)
    if done is not None:
        return ScoreResult(done.rows, done.parts, monotonic() - began, already_done=True)
    batches = rebatched(_scored(servable, dataset, options.batch_size, job, on_progress), GROUP_ROWS)
    written = tuple(write_parts(batches, output, options.groups_per_part))
    rows = sum(part.rows for part in written)
    write_success(output, job, written)
    return ScoreResult(rows, tuple(part.path for part in written), monotonic() - began)


def _scored(
    servable: Servable, dataset: Dataset, batch_size: int, job: Job, on_progress: Progress | None
) -> Iterator[Any]:
    """Give the results of one chunk after another, as record batches of one schema."""
    schema = None
    for chunk in dataset.batches(batch_size):
        scores = servable.score(chunk.rows)
        schema = schema or _schema(chunk, scores, job)
        yield _batch(chunk, scores, schema)
        if on_progress is not None:
            on_progress(chunk.start + len(scores))


def _schema(chunk: Chunk, scores: Scores, job: Job) -> Any:
    """Return the columns of the results, with what was scored by what in the metadata."""
    kept = [pa.field(name, column.type) for name, column in chunk.kept.items()]
    fields = [
        pa.field("source", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        *kept,
        pa.field("scores", pa.list_(pa.float32(), scores.shape[1]), nullable=False),
    ]
    return pa.schema(
        fields,
        metadata={
            "unisono.ensemble": job.ensemble,
            "unisono.version": str(job.version),
            "unisono.classes": json.dumps(job.classes, ensure_ascii=False),
            "unisono.weights_sha256": job.weights_sha256,
        },
    )


def _batch(chunk: Chunk, scores: Scores, schema: Any) -> Any:
    """Return the results of one chunk: where each row is from, what is kept of it, its scores."""
    count = len(scores)
    columns = {
        "source": pa.array([str(chunk.source)] * count, pa.string()),
        "row": pa.array(np.arange(chunk.row, chunk.row + count, dtype=np.int64)),
        "scores": pa.FixedSizeListArray.from_arrays(
            pa.array(np.ascontiguousarray(scores).reshape(-1)), scores.shape[1]
        ),
    }
    for name, column in chunk.kept.items():
        columns[name] = _cast(column, schema.field(name).type, name, chunk)
    return pa.record_batch([columns[field.name] for field in schema], schema=schema)


def _cast(column: Any, dtype: Any, name: str, chunk: Chunk) -> Any:
    """Return a kept column in the type that the first file gave it."""
    try:
        return column if column.type == dtype else column.cast(dtype)
    except pa.ArrowException as error:
        raise InvalidDataError(
            f"{chunk.source}: column {name!r} is {column.type}, in the first file {dtype}: {error}"
        ) from None
