"""From an array as a file has it to the tensor that the signature asks for.

The rule for dtypes: every value must survive the conversion exactly, except that a float may be
rounded to a narrower float, because data files hold float64 where models take float32.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..signature import ANY_SIZE, TensorSpec
from .opening import File

NUMERIC = "biuf"  # numpy's kinds: bool, signed, unsigned, float


@dataclass(frozen=True, slots=True)
class Place:
    """Where rows come from: the file, and the row in it, from 0, of the first of them."""

    path: File
    start: int = 0

    def after(self, rows: int) -> "Place":
        """The place `rows` rows further on."""
        return Place(self.path, self.start + rows)

    def row(self, index: int) -> str:
        """Name the row `index` rows further on, the way errors do."""
        return f"{self.path}: row {self.start + index}"


def to_tensor(array: NDArray[Any], spec: TensorSpec, place: Place) -> NDArray[Any]:
    """Return `array`, its rows axis kept, in the shape and dtype of `spec`, or raise `InvalidDataError`."""
    shaped = _shaped(array, spec, place)
    if spec.dtype == "bytes":
        return _texts(shaped, spec, place)
    if shaped.dtype.kind not in NUMERIC:
        raise InvalidDataError(
            f"{place.path}: {spec.name!r} holds {shaped.dtype}, the ensemble takes {spec.dtype}:"
            " store it as numbers",
            code="type",
        )
    if shaped.dtype.kind == "f":
        _refuse(np.isnan(shaped), shaped, f"{spec.name!r} is NaN: fill or drop such rows", place, "nan")
    return _converted(shaped, spec, place)


def _shaped(array: NDArray[Any], spec: TensorSpec, place: Place) -> NDArray[Any]:
    """Return `array` with the axes of `spec`; an array that is flat in its row is folded."""
    if spec.fits(array.shape):
        return array
    per_row = prod(array.shape[1:])
    fixed = prod(size for size in spec.shape if size != ANY_SIZE)
    flat = array.ndim <= 2  # noqa: PLR2004 - one axis of rows, one of values
    foldable = per_row == fixed if ANY_SIZE not in spec.shape else bool(fixed) and per_row % fixed == 0
    if flat and foldable and spec.shape.count(ANY_SIZE) <= 1:
        rest = per_row // fixed if fixed else 0
        return array.reshape((len(array), *(rest if size == ANY_SIZE else size for size in spec.shape)))
    raise InvalidDataError(
        f"{place.path}: a row of {spec.name!r} has shape {list(array.shape[1:])},"
        f" the ensemble takes {list(spec.shape)}",
        code="shape",
    )


def _converted(array: NDArray[Any], spec: TensorSpec, place: Place) -> NDArray[Any]:
    """Return numbers as `spec.dtype`, each of them what it was (a float maybe rounded)."""
    dtype = np.dtype(spec.dtype)
    # numpy calls 64-bit integers to float64 safe; from 2**53 on it rounds.
    rounds = array.dtype.kind in "iu" and dtype.kind == "f" and array.dtype.itemsize == dtype.itemsize
    if np.can_cast(array.dtype, dtype, "safe") and not rounds:
        return np.ascontiguousarray(array, dtype=dtype)
    with np.errstate(all="ignore"):  # what doesn't fit is found below, and named
        result = np.ascontiguousarray(array.astype(dtype))
        if array.dtype.kind == "f" and dtype.kind == "f":
            lost = np.isinf(result) & np.isfinite(array)
        else:
            # Back and equal isn't enough: the largest int64 rounds up to 2**63 and wraps when it returns.
            lost = (result.astype(array.dtype) != array) | ((result < 0) != (array < 0))
            lost |= _out_of_range(result, array.dtype)
    _refuse(lost, array, f"{spec.name!r} can't be {spec.dtype} without changing", place, "range")
    return result


def _out_of_range(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[np.bool_]:
    """Where floats lie outside what the integer `dtype` can hold."""
    if values.dtype.kind != "f" or dtype.kind not in "iu":
        return np.zeros(values.shape, dtype=np.bool_)
    outside: NDArray[np.bool_] = values.astype(np.float64) >= 2.0 ** (
        8 * dtype.itemsize - (dtype.kind == "i")
    )
    return outside


def _texts(array: NDArray[Any], spec: TensorSpec, place: Place) -> NDArray[Any]:
    """Return text or bytes as an object array of `bytes`, text in UTF-8."""
    if array.dtype.kind not in "SUO":
        raise InvalidDataError(
            f"{place.path}: {spec.name!r} holds {array.dtype}, the ensemble takes text or bytes",
            code="type",
        )
    texts = [value.encode() if isinstance(value, str) else bytes(value) for value in array.ravel()]
    result = np.empty(len(texts), dtype=np.object_)
    result[:] = texts
    return result.reshape(array.shape)


def _refuse(bad: NDArray[Any], array: NDArray[Any], what: str, place: Place, code: str) -> None:
    """Raise for the first row with a bad value, if there is one."""
    if not bad.any():
        return
    rows = np.flatnonzero(bad.reshape(len(bad), -1).any(axis=1))
    value = array[rows[0]][bad[rows[0]]].ravel()[0] if array.ndim > 1 else array[rows[0]]
    raise InvalidDataError(f"{place.row(int(rows[0]))}: {what}; got {value}", code=code)
