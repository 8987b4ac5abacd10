"""HDF5 files that are allowed are still checked: by the same list, the same walk through their parameters."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ensemble.errors import InvalidModelError
from ensemble.loading.h5_file import check_h5_file

DENSE = {"class_name": "Dense", "config": {"units": 3, "activation": "relu"}}


def write(
    path: Path, *layers: dict[str, Any], text: object = None, fill: Callable[[Any], object] = len
) -> Path:
    """Write an HDF5 file of a stack of layers, with the parameters of a Dense layer of 3 units."""
    config = {"class_name": "Sequential", "config": {"name": "stack", "layers": list(layers)}}
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config) if text is None else text
        file["model_weights/dense/dense/kernel"] = np.ones((4, 3), np.float32)
        fill(file)
    return path


def test_a_model_of_keras_layers_is_taken(tmp_path: Path) -> None:
    check_h5_file(write(tmp_path / "model.h5", DENSE))


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ({"class_name": "Lambda", "config": {}}, "holds a Lambda layer"),
        ({"class_name": "TFSMLayer", "config": {"filepath": "evil"}}, "holds a TFSMLayer layer"),
        ({"class_name": "StringLookup", "config": {}}, "names 'StringLookup'"),
        ({"class_name": "Dense", "module": "os", "config": {}}, "package 'os'"),
        ({"class_name": "Mine", "config": {}}, "names 'Mine'"),
        ({"class_name": "Dense", "config": {"units": 500_000_000}}, "units=500000000, and no parameter"),
        ({"class_name": 7, "config": {}}, "names 7"),
    ],
)
def test_a_layer_that_holds_more_is_refused(tmp_path: Path, layer: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidModelError, match=said):
        check_h5_file(write(tmp_path / "model.h5", DENSE, layer))


def linked(file: Any) -> None:
    file["model_weights/other"] = h5py.ExternalLink("/etc/hostname", "/")


def test_a_link_out_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="holds the link '/model_weights/other'"):
        check_h5_file(write(tmp_path / "model.h5", DENSE, fill=linked))


@pytest.mark.parametrize(
    ("text", "said"), [(7, "without a model in it"), ("{", "is no JSON"), ("[" * 10**5, "is no JSON")]
)
def test_a_description_that_is_none_is_refused(tmp_path: Path, text: object, said: str) -> None:
    with pytest.raises(InvalidModelError, match=said):
        check_h5_file(write(tmp_path / "model.h5", text=text))


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "model.h5", DENSE).read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(InvalidModelError, match=r"is a damaged HDF5 file \(.*\); copy it again"):
        check_h5_file(tmp_path / "cut.h5")
