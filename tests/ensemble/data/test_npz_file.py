from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ensemble.data.npz_file import NpzFile
from ensemble.data.source import Wanted
from ensemble.errors import InvalidDataError
from ensemble.signature import TensorSpec

X = TensorSpec("x", "float32", (2,))


def saved(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "a.npz", allow_pickle=True, **arrays)
    return folder / "a.npz"


def refused(path: Path, message: str, wanted: Wanted | None = None) -> None:
    with pytest.raises(InvalidDataError, match=message):
        NpzFile.open(path, None).check(wanted or Wanted((X,), "y"))


def test_arrays_that_are_not_asked_for_may_be_of_any_length(tmp_path: Path) -> None:
    file = NpzFile.open(saved(tmp_path, about=np.array("text"), x=np.zeros((3, 2)), y=np.zeros(3)), None)
    file.check(Wanted((X,), "y"))
    assert file.count(Wanted((X,), "y")) == 3


def test_a_missing_array_says_which_there_are(tmp_path: Path) -> None:
    refused(saved(tmp_path, z=np.zeros(1), x=np.zeros((1, 2))), r"has no array \['y'\]; it has \['x', 'z'\]")


def test_arrays_of_different_lengths_are_refused_with_their_shapes(tmp_path: Path) -> None:
    message = r"same number of rows; shapes are x \[3, 2\], y \[4\]"
    refused(saved(tmp_path, x=np.zeros((3, 2)), y=np.zeros(4)), message)
    refused(saved(tmp_path, x=np.zeros((3, 2)), y=np.zeros(())), r"shapes are x \[3, 2\], y \[\]")


def test_the_wrong_shape_is_refused_by_the_header_alone(tmp_path: Path) -> None:
    refused(saved(tmp_path, x=np.zeros((3, 5)), y=np.zeros(3)), r"has shape \[5\], the ensemble takes \[2\]")


def test_pickles_are_never_read(tmp_path: Path) -> None:
    path = saved(tmp_path, x=np.array([{"a": 1}], dtype=object))
    refused(path, "array 'x' holds Python objects, which are never read")


@pytest.mark.parametrize("rows", [1, 2, 3, 8])
def test_arrays_stored_column_by_column_are_read_row_by_row(rows: int, tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    path = saved(tmp_path, x=np.asfortranarray(values))
    raws = [block.raw() for block in NpzFile.open(path, None).read(Wanted((X,)), rows)]
    np.testing.assert_array_equal(np.concatenate([raw.inputs["x"] for raw in raws]), values)


def test_an_array_stored_column_by_column_and_cut_short_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.asfortranarray(np.ones((3, 2), np.float32)))
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-1])
    with pytest.raises(InvalidDataError, match="row 0: the file ends before it is whole: write it again"):
        next(NpzFile.open(tmp_path / "a.npy", "x").read(Wanted((X,)), 8))


@pytest.mark.parametrize("data", [b"", b"PK not really a zip", b"\x93NUMPY"])
@pytest.mark.parametrize("ending", [".npz", ".npy"])
def test_a_file_that_is_something_else_is_refused(data: bytes, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{ending}"
    path.write_bytes(data)
    with pytest.raises(InvalidDataError, match=rf"a{ending}: can't be read as {ending}: "):
        NpzFile.open(path, "x")


def test_a_npy_file_is_the_only_input(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6, dtype=np.float32).reshape(3, 2))
    file = NpzFile.open(tmp_path / "a.npy", "x")
    file.check(Wanted((X,)))
    raws = [block.raw() for block in file.read(Wanted((X,)), 2)]
    assert [raw.inputs["x"].tolist() for raw in raws] == [[[0, 1], [2, 3]], [[4, 5]]]
    with pytest.raises(InvalidDataError, match=r"several inputs; store them by name in \.npz"):
        NpzFile.open(tmp_path / "a.npy", None)


def test_a_file_that_is_cut_short_is_refused_when_its_end_is_reached(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 2), np.float32))
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:-1])
    raws = NpzFile.open(tmp_path / "a.npy", "x").read(Wanted((X,)), 2)
    assert next(raws).rows == 2
    with pytest.raises(InvalidDataError, match="row 2: the file ends before it is whole: write it again"):
        next(raws)


def test_a_flipped_bit_in_the_zip_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path, x=np.zeros((3, 2), np.float32))
    data = bytearray(path.read_bytes())
    data[data.index(b"\x93NUMPY") + 130] ^= 1
    path.write_bytes(data)
    with pytest.raises(InvalidDataError, match="Bad CRC-32"):
        list(NpzFile.open(path, None).read(Wanted((X,)), 8))


def test_kept_arrays_become_columns(tmp_path: Path) -> None:
    path = saved(tmp_path, x=np.zeros((2, 2)), id=np.array(["a", "b"]), box=np.arange(4).reshape(2, 2))
    raw = next(NpzFile.open(path, None).read(Wanted((X,), keep=("id", "box")), 8)).raw()
    assert raw.kept["id"].to_pylist() == ["a", "b"]
    assert raw.kept["box"].type == pa.list_(pa.int64(), 2)
    assert raw.kept["box"].to_pylist() == [[0, 1], [2, 3]]


def test_a_kept_array_that_has_no_column_type_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, x=np.zeros((2, 2)), wave=np.zeros(2, np.complex128))
    with pytest.raises(InvalidDataError, match="can't keep 'wave', of dtype complex128"):
        next(NpzFile.open(path, None).read(Wanted((X,), keep=("wave",)), 8)).raw()
