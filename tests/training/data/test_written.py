import hashlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from training.data.parts import Data, Part
from training.data.sources import digits
from training.data.written import write_rows


def test_the_files_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    digests = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        write_rows(folder, digits())
        digests.append(
            {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        )
    assert digests[0] == digests[1]
    assert sorted(digests[0]) == ["test.npz", "test.parquet", "validation.npz"]


def test_rows_are_written_under_the_names_of_inputs_and_targets(tmp_path: Path) -> None:
    test = digits().test
    assert test.label is not None
    write_rows(tmp_path, digits())
    with np.load(tmp_path / "test.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["image"], test.inputs["image"])
        np.testing.assert_array_equal(arrays["label"], test.label)
    table = pq.read_table(tmp_path / "test.parquet")
    assert table["label"].to_pylist() == test.label.tolist()
    assert table["image"].to_pylist() == test.inputs["image"].reshape(360, 64).tolist()


def test_a_part_without_rows_is_not_written(tmp_path: Path) -> None:
    some = Part({"features": np.ones((2, 3), np.float32)}, value=np.ones(2, np.float32))
    write_rows(tmp_path, Data(some, some, some.take(np.arange(0)), ()))
    assert [path.name for path in tmp_path.iterdir()] == ["validation.npz"]
    with np.load(tmp_path / "validation.npz", allow_pickle=False) as arrays:
        assert sorted(arrays) == ["features", "value"]
