"""What the parameters of a `.keras` file may be. The bad ones are made here, on the spot."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ensemble.errors import InvalidModelError
from ensemble.loading import weights_file
from ensemble.loading.weights_file import check_weights


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.keras"


def write(path: Path, fill: Callable[[Any], object], *, units: int = 3) -> Path:
    """Write a model of one Dense layer, its parameters written by `fill`."""
    file = io.BytesIO()
    with h5py.File(file, "w") as weights:
        fill(weights)
    layer = {"class_name": "Dense", "config": {"units": units}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"config": {"layers": [layer]}}))
        archive.writestr("model.weights.h5", file.getvalue())
    return path


def dense(weights: Any) -> None:
    weights["layers/dense/vars/0"] = np.ones((4, 3), np.float32)


def test_parameters_that_are_there_are_taken(path: Path) -> None:
    check_weights(write(path, dense))


def test_a_size_that_no_parameter_has_is_refused(path: Path) -> None:
    with pytest.raises(
        InvalidModelError, match="Dense layer is described with units=500000000, and no parameter"
    ):
        check_weights(write(path, dense, units=500_000_000))


@pytest.mark.parametrize("link", [h5py.ExternalLink("/etc/passwd", "/"), h5py.SoftLink("/layers")])
def test_links_are_refused(path: Path, link: Any) -> None:
    def fill(weights: Any) -> None:
        dense(weights)
        weights["layers/other"] = link

    with pytest.raises(InvalidModelError, match="holds the link '/layers/other'"):
        check_weights(write(path, fill))


def test_bytes_in_another_file_are_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"0123456789abcdef")

    with pytest.raises(InvalidModelError, match="bytes of '/kernel' lie in another file"):
        check_weights(
            write(
                path,
                lambda weights: weights.create_dataset(
                    "kernel", (4,), "f4", external=[(str(tmp_path / "secret"), 0, 16)]
                ),
            )
        )


def test_a_dataset_made_of_other_files_datasets_is_refused(path: Path) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "data", (4,))

    with pytest.raises(InvalidModelError, match="bytes of '/kernel' lie in another file"):
        check_weights(write(path, lambda weights: weights.create_virtual_dataset("kernel", layout)))


def test_a_few_bytes_that_say_they_are_a_terabyte_are_refused(path: Path) -> None:
    def fill(weights: Any) -> None:
        weights.create_dataset("kernel", (500_000_000, 500), "f4", chunks=(1000, 500), compression="gzip")

    with pytest.raises(InvalidModelError, match=r"unpacks to 1000000000000 bytes or more; 100 times"):
        check_weights(write(path, fill))


def test_parameters_that_are_no_numbers_are_refused(path: Path) -> None:
    with pytest.raises(InvalidModelError, match="holds '/kernel' of object, not numbers"):
        check_weights(write(path, lambda weights: weights.create_dataset("kernel", data="text")))


def test_groups_that_hold_each_other_come_to_an_end(path: Path) -> None:
    def fill(weights: Any) -> None:
        dense(weights)
        weights["layers/dense/again"] = weights["layers"]

    check_weights(write(path, fill))


def test_what_is_no_hdf5_file_is_refused(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n" + bytes(100))

    with pytest.raises(InvalidModelError, match="is no HDF5 file"):
        check_weights(path)


def test_a_group_that_hdf5_cannot_make_sense_of_is_refused(path: Path) -> None:
    damaged = write(path, dense).read_bytes().replace(b"SNOD", b"SNOE")
    with zipfile.ZipFile(io.BytesIO(damaged)) as archive:
        # The archive's own checksum would be wrong: pack what it holds anew.
        config = archive.read("config.json")
    start = damaged.index(b"\x89HDF")
    end = damaged.index(b"PK\x01\x02")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", damaged[start:end])

    with pytest.raises(InvalidModelError, match=r"model.weights.h5 is no HDF5 file"):
        check_weights(path)


def test_more_objects_than_any_model_has_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_file, "MAX_OBJECTS", 4)

    with pytest.raises(InvalidModelError, match="holds over 4 objects; it isn't a model's"):
        check_weights(write(path, dense))


def test_what_holds_no_numbers_is_passed_over(path: Path) -> None:
    def with_a_type(weights: Any) -> None:
        dense(weights)
        weights["kind"] = np.dtype(np.float32)

    check_weights(write(path, with_a_type))


def test_a_size_that_is_no_number_is_left_to_keras(path: Path) -> None:
    check_weights(write(path, dense, units="many"))  # type: ignore[arg-type]
