"""What the child hands to the parent comes back as it was."""

import json
from pathlib import Path

import numpy as np

from ensemble.loading.exported import Exported, read_arrays, write_arrays
from ensemble.signature import Signature, TensorSpec


def test_arrays_keep_names_that_no_file_could_have(tmp_path: Path) -> None:
    given = {"file": np.arange(2), "a/b": np.zeros((2, 2)), "../c": np.ones(1)}

    write_arrays(tmp_path / "arrays", given)

    assert json.loads((tmp_path / "arrays.json").read_text()) == ["file", "a/b", "../c"]
    assert {name: array.tolist() for name, array in read_arrays(tmp_path / "arrays").items()} == {
        "file": [0, 1],
        "a/b": [[0, 0], [0, 0]],
        "../c": [1],
    }


def test_what_was_written_is_read(tmp_path: Path) -> None:
    signature = Signature((TensorSpec("x", "float32", (2,)),), (TensorSpec("y", "float32", (1,)),))
    made = Exported(signature, "keras 3.0", {"x": np.ones((3, 2))}, {"y": np.zeros((3, 1))})

    made.write(tmp_path)
    found = Exported.read(tmp_path, json.loads(json.dumps(made.to_json())))

    assert (found.signature, found.made_by) == (signature, "keras 3.0")
    assert {name: array.tolist() for name, array in found.rows.items()} == {"x": [[1, 1], [1, 1], [1, 1]]}
    assert {name: array.tolist() for name, array in found.answers.items()} == {"y": [[0], [0], [0]]}
