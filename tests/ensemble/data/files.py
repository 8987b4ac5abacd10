"""The same rows and labels, written in each format."""

import json
import struct
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import csv

from ensemble.data.crc32c import masked_crc32c

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


def write_jsonl(path: Path, arrays: Arrays) -> Path:
    """Each tensor nested lists, as deep as it has axes."""
    columns = {name: array.tolist() for name, array in arrays.items()}
    rows = (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
    file = path.with_suffix(".jsonl")
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def write_arrow(path: Path, arrays: Arrays) -> Path:
    """Each tensor one list of its values, in small batches."""
    table = pa.table({name: _lists(_flat(array), array.ndim > 1) for name, array in arrays.items()})
    file = path.with_suffix(".arrow")
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    return file


def write_tfrecord(path: Path, arrays: Arrays) -> Path:
    """Each tensor a float_list or an int64_list, text a bytes_list."""
    flat = {name: _flat(array) for name, array in arrays.items()}
    rows = len(next(iter(flat.values())))
    file = path.with_suffix(".tfrecord")
    examples = (example({name: array[row] for name, array in flat.items()}) for row in range(rows))
    file.write_bytes(b"".join(framed(record) for record in examples))
    return file


def example(features: Mapping[str, NDArray[Any]]) -> bytes:
    """A serialized tf.Example, as TensorFlow writes it."""
    entries = b""
    for name, values in features.items():
        if values.dtype.kind == "f":
            content = _field(2, _field(1, values.astype("<f4").tobytes()))
        elif values.dtype.kind in "iu":
            content = _field(3, _field(1, b"".join(_varint(int(value)) for value in values)))
        else:
            content = _field(1, b"".join(_field(1, str(value).encode()) for value in values))
        entries += _field(1, _field(1, name.encode()) + _field(2, content))
    return _field(1, entries)


def framed(record: bytes) -> bytes:
    """A record with its length and its CRCs."""
    length = struct.pack("<Q", len(record))
    length_crc, crc = masked_crc32c([length, record]).tolist()
    return length + struct.pack("<I", length_crc) + record + struct.pack("<I", crc)


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    value %= 1 << 64
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


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
    "jsonl": write_jsonl,
    "arrow": write_arrow,
    "tfrecord": write_tfrecord,
}
