"""The same rows and labels, written in each format."""

from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import csv

Arrays = Mapping[str, NDArray[Any]]
Writer = Callable[[Path, Arrays], Path]


def write_npz(path: Path, arrays: Arrays) -> Path:
    file = path.with_suffix(".npz")
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file


def write_npz_compressed(path: Path, arrays: Arrays) -> Path:
    file = path.with_suffix(".npz")
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file


def write_parquet_flat(path: Path, arrays: Arrays) -> Path:
    """Each tensor one list of its values, in small row groups."""
    columns = {name: _lists(_flat(array), array.ndim > 1) for name, array in arrays.items()}
    file = path.with_suffix(".parquet")
    pq.write_table(pa.table(columns), file, row_group_size=7)
    return file


def write_parquet_nested(path: Path, arrays: Arrays) -> Path:
    """Each tensor lists of lists, as deep as it has axes."""
    file = path.with_suffix(".parquet")
    pq.write_table(pa.table({name: array.tolist() for name, array in arrays.items()}), file)
    return file


def write_csv(path: Path, arrays: Arrays) -> Path:
    columns: dict[str, NDArray[Any]] = {}
    for name, array in arrays.items():
        if array.ndim == 1:
            columns[name] = array
        else:
            flat = _flat(array)
            columns |= {f"{name}_{index}": flat[:, index] for index in range(flat.shape[1])}
    file = path.with_suffix(".csv")
    csv.write_csv(pa.table(columns), file)
    return file


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    return array.reshape(len(array), prod(array.shape[1:]))


def _lists(array: NDArray[Any], tensor: bool) -> Any:
    flat = pa.array(array.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, array.shape[1]) if tensor else flat


WRITERS: dict[str, Writer] = {
    "npz": write_npz,
    "npz compressed": write_npz_compressed,
    "parquet flat": write_parquet_flat,
    "parquet nested": write_parquet_nested,
    "csv": write_csv,
}
