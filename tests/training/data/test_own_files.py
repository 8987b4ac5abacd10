import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ensemble.errors import InvalidDataError
from training.data.own_files import OwnFiles


def flowers(path: Path, rows: int, first: int = 0) -> Path:
    petals = [[float(row), row / 2] for row in range(first, first + rows)]
    table = {"petals": petals, "kind": ["rose", "iris"] * (rows // 2), "height": [10.0] * (rows - 1) + [12.5]}
    pq.write_table(pa.table(table), path)
    return path


def test_parts_are_read_with_named_classes_and_values(tmp_path: Path) -> None:
    own = OwnFiles(
        train=(flowers(tmp_path / "a.parquet", 4), flowers(tmp_path / "b.parquet", 2, 4)),
        validation=(flowers(tmp_path / "c.parquet", 2, 6),),
        inputs={"petals": (2,)},
        label="kind",
        classes=("iris", "rose"),
        value="height",
    )
    data = own.load()
    assert data.train.inputs["petals"].tolist() == [[row, row / 2] for row in range(6)]
    assert data.train.label is not None
    assert data.train.label.tolist() == [1, 0, 1, 0, 1, 0]
    assert data.train.value is not None
    assert data.train.value.tolist() == [10.0, 10.0, 10.0, 12.5, 10.0, 12.5]
    assert (data.validation.rows, data.test.rows) == (2, 0)


def test_one_file_is_split_and_numbers_name_the_classes(tmp_path: Path) -> None:
    np.savez(tmp_path / "all.npz", x=np.arange(40, dtype=np.float32).reshape(20, 2), y=np.arange(20) % 2)
    data = OwnFiles((tmp_path / "all.npz",), {"x": (2,)}, label="y").load()
    assert data.classes == ("0", "1")
    assert [part.rows for part in (data.train, data.validation, data.test)] == [12, 4, 4]


def test_a_row_without_its_number_is_named(tmp_path: Path) -> None:
    table = pa.table({"x": [[1.0], [2.0]], "y": pa.array([1.5, None], pa.float64())})
    pq.write_table(table, tmp_path / "a.parquet")
    own = OwnFiles((tmp_path / "a.parquet",), {"x": (1,)}, value="y")
    with pytest.raises(InvalidDataError, match=re.escape("row 1: y is nan; every row needs a number")):
        own.load()
