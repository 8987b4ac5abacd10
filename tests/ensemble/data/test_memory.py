"""Reading takes as much memory for many rows as for few."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from ensemble.data import csv_file
from ensemble.data.dataset import open_dataset
from ensemble.signature import Signature, TensorSpec

WIDTH = 32
SIGNATURE = Signature((TensorSpec("x", "float32", (WIDTH,)),), (TensorSpec("scores", "float32", (3,)),))
MEBIBYTE = 1 << 20


def write_npz(path: Path, values: np.ndarray) -> None:
    np.savez_compressed(path, x=values)


def write_one_row_group(path: Path, values: np.ndarray) -> None:
    column = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), WIDTH)
    pq.write_table(pa.table({"x": column}), path, row_group_size=len(values))


def write_csv(path: Path, values: np.ndarray) -> None:
    csv.write_csv(pa.table({f"x_{index}": values[:, index] for index in range(WIDTH)}), path)


def peak_of_reading(path: Path, rows: int) -> int:
    """The most bytes that numpy and Arrow held together, beyond what they held before."""
    before, peak, seen = pa.total_allocated_bytes(), 0, 0
    tracemalloc.start()
    for chunk in open_dataset([path], SIGNATURE).batches(256):
        seen += len(chunk.rows["x"])
        peak = max(peak, pa.total_allocated_bytes() - before)
    peak += tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen == rows
    return peak


@pytest.mark.parametrize(
    ("name", "write"),
    [("a.npz", write_npz), ("a.parquet", write_one_row_group), ("a.csv", write_csv)],
)
def test_a_hundred_thousand_rows_take_no_more_memory_than_ten_thousand(
    name: str,
    write: Callable[[Path, np.ndarray], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Arrow reads some blocks ahead; small ones let a small file show it.
    monkeypatch.setattr(csv_file, "BLOCK_SIZE", 1 << 16)
    values = np.random.default_rng(0).random((100_000, WIDTH), dtype=np.float32)  # 12 MiB
    peaks = {}
    for rows in (10_000, 100_000):
        write(tmp_path / name, values[:rows])
        peaks[rows] = peak_of_reading(tmp_path / name, rows)
    assert peaks[100_000] < peaks[10_000] + 2 * MEBIBYTE
    assert peaks[100_000] < 5 * MEBIBYTE
