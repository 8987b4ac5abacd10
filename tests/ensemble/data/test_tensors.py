from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble.data.tensors import Place, to_tensor
from ensemble.errors import InvalidDataError
from ensemble.signature import TensorSpec

PLACE = Place(Path("in.npz"), start=100)


def tensor(values: Any, dtype: str, shape: tuple[int, ...] = ()) -> np.ndarray:
    return to_tensor(np.asarray(values), TensorSpec("x", dtype, shape), PLACE)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([1, 2, 255], np.int64), "uint8"),
        (np.array([1, 2, 255], np.int64), "float32"),
        (np.array([2**24], np.int64), "float32"),
        (np.array([1.0, 2.0]), "int64"),
        (np.array([True, False]), "float32"),
        (np.array([0, 1]), "bool"),
        (np.array([-(2**63)], np.int64), "float64"),
        (np.array([2**63], np.uint64), "float64"),
        (np.array([1, 2], ">i4"), "int32"),
        (np.array([np.inf, -np.inf]), "float32"),
    ],
)
def test_numbers_that_survive_are_converted(values: np.ndarray, dtype: str) -> None:
    result = tensor(values, dtype)
    assert result.dtype == np.dtype(dtype)
    assert result.dtype.isnative
    assert [float(value) for value in result] == [float(value) for value in values]


def test_float64_is_rounded_to_float32() -> None:
    assert tensor([0.1], "float32")[0] == np.float32(0.1)


@pytest.mark.parametrize(
    ("values", "dtype", "bad"),
    [
        (np.array([1, 256], np.int64), "uint8", "256"),
        (np.array([1, -1], np.int64), "uint64", "-1"),
        (np.array([1, 2**24 + 1], np.int64), "float32", "16777217"),
        (np.array([1, 2**63 - 1], np.int64), "float64", "9223372036854775807"),
        (np.array([1, 2**64 - 1], np.uint64), "float32", "18446744073709551615"),
        (np.array([1, 2**64 - 1], np.uint64), "int64", "18446744073709551615"),
        (np.array([1.0, 2.5]), "int64", "2.5"),
        (np.array([1.0, 1e300]), "float32", r"1e\+300"),
        (np.array([1.0, 1e300]), "int64", r"1e\+300"),
        (np.array([1.0, -1.0]), "uint8", "-1.0"),
        (np.array([1, 2]), "bool", "2"),
    ],
)
def test_a_number_that_would_change_is_refused_with_its_row(values: np.ndarray, dtype: str, bad: str) -> None:
    with pytest.raises(
        InvalidDataError, match=rf"row 101: 'x' can't be {dtype} without changing; got {bad}$"
    ):
        tensor(values, dtype)


def test_nan_is_refused_with_its_row() -> None:
    with pytest.raises(
        InvalidDataError, match=r"in.npz: row 102: 'x' is NaN: fill or drop such rows; got nan"
    ):
        tensor([[0.0, 1.0], [0.0, 1.0], [0.0, np.nan]], "float32", (2,))


@pytest.mark.parametrize(
    ("found", "shape"),
    [
        ((3, 4), (2, 2, 1)),
        ((3,), (1,)),
        ((3, 1), ()),
        ((3, 6), (2, -1)),
        ((3, 2, 5), (2, -1)),
        ((0, 4), (2, 2)),
        ((0, 4), (2, -1)),
    ],
)
def test_flat_rows_are_folded(found: tuple[int, ...], shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(found), dtype=np.float32).reshape(found)
    result = tensor(values, "float32", shape)
    assert len(result.shape) == len(shape) + 1
    assert result.ravel().tolist() == values.ravel().tolist()


@pytest.mark.parametrize(
    ("found", "shape"),
    [((3, 5), (2, 2)), ((3, 4, 1), (2, 2)), ((3, 2, 2), (4,)), ((3, 5), (2, -1)), ((3, 4), (-1, -1))],
)
def test_another_shape_is_refused(found: tuple[int, ...], shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidDataError, match=r"a row of 'x' has shape \[.*\], the ensemble takes \["):
        tensor(np.zeros(found), "float32", shape)


@pytest.mark.parametrize("values", [["é", "b"], ["é".encode(), b"b"]])
def test_text_becomes_bytes(values: list[str] | list[bytes]) -> None:
    assert tensor(values, "bytes").tolist() == ["é".encode(), b"b"]


def test_text_is_no_number_and_numbers_are_no_text() -> None:
    with pytest.raises(
        InvalidDataError, match=r"'x' holds <U1, the ensemble takes float32: store it as numbers"
    ):
        tensor(["a"], "float32")
    with pytest.raises(InvalidDataError, match="'x' holds int64, the ensemble takes text or bytes"):
        tensor([1], "bytes")
