"""The one table of dtypes, and tensors <-> bytes: little-endian, row-major.

Nothing here casts: a value comes out as it came in, or is refused with a `ValueError` whose text
says what is wrong with the bytes or values; the codec says whose they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as derived
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Each element of a BYTES tensor begins with its length.
LENGTH_BYTES = 4
MAX_TENSOR_BYTES = 2**63 - 1


@dataclass(frozen=True, slots=True)
class WireType:
    """One dtype under its three names: ours, the protocol's, and the typed field it goes in."""

    dtype: str  # as in `TensorSpec`
    datatype: str  # as in OIP
    field: str | None  # of InferTensorContents; None: travels raw only
    item_bytes: int  # 0: every element has its own length
    # What arrays of it hold; text is `object`, each element `bytes`.
    numpy: np.dtype[Any] = derived(init=False)
    little: np.dtype[Any] = derived(init=False)  # as on the wire

    def __post_init__(self) -> None:
        """Work out what numpy calls it."""
        held: np.dtype[Any] = np.dtype(self.dtype if self.item_bytes else object)
        object.__setattr__(self, "numpy", held)
        object.__setattr__(self, "little", held.newbyteorder("<"))


WIRE_TYPES = (
    WireType("bool", "BOOL", "bool_contents", 1),
    WireType("int8", "INT8", "int_contents", 1),
    WireType("int16", "INT16", "int_contents", 2),
    WireType("int32", "INT32", "int_contents", 4),
    WireType("int64", "INT64", "int64_contents", 8),
    WireType("uint8", "UINT8", "uint_contents", 1),
    WireType("uint16", "UINT16", "uint_contents", 2),
    WireType("uint32", "UINT32", "uint_contents", 4),
    WireType("uint64", "UINT64", "uint64_contents", 8),
    WireType("float16", "FP16", None, 2),
    WireType("float32", "FP32", "fp32_contents", 4),
    WireType("float64", "FP64", "fp64_contents", 8),
    WireType("bytes", "BYTES", "bytes_contents", 0),
)
BY_DTYPE = {wire.dtype: wire for wire in WIRE_TYPES}
BY_NUMPY = {wire.numpy: wire for wire in WIRE_TYPES}
# The widest type that each typed field carries: how a field is called in errors.
FIELD_DATATYPES = {
    "bool_contents": "BOOL", "int_contents": "INT32", "int64_contents": "INT64", "uint_contents": "UINT32",
    "uint64_contents": "UINT64", "fp32_contents": "FP32", "fp64_contents": "FP64", "bytes_contents": "BYTES",
}  # fmt: skip

# numpy has no bfloat16, and no model of ours takes it. It is the upper half of a float32, so it is
# taken, raw, where a model takes float32: nothing is lost.
BFLOAT16 = "BF16"
BFLOAT16_BYTES = 2


def from_raw(raw: bytes, wire: WireType, shape: Sequence[int]) -> NDArray[Any]:
    """Read a tensor without copying it: the array is read-only. Text is copied."""
    if not wire.item_bytes:
        return _text(_split(raw, prod(shape)), shape)
    check_bytes(shape, wire.item_bytes, len(raw))
    if wire.dtype == "bool" and np.frombuffer(raw, np.uint8).max(initial=0) > 1:
        raise ValueError("a BOOL is a byte that is 0 or 1")
    stored = np.frombuffer(raw, wire.little)
    # On a little-endian machine, nearly every one, this changes nothing.
    return stored.astype(wire.numpy, copy=False).reshape(shape)


def from_raw_bfloat16(raw: bytes, shape: Sequence[int]) -> NDArray[np.float32]:
    """Read a BF16 tensor as float32, exactly."""
    check_bytes(shape, BFLOAT16_BYTES, len(raw))
    upper = np.frombuffer(raw, "<u2").astype(np.uint32)
    return (upper << 16).view(np.float32).reshape(shape)


def from_values(values: Sequence[Any], wire: WireType, shape: Sequence[int]) -> NDArray[Any]:
    """Make a tensor of the values of its typed field."""
    if not wire.item_bytes:
        if len(values) != prod(shape):
            raise ValueError(f"expected {prod(shape)} elements, got {len(values)}")
        return _text(list(values), shape)
    check_bytes(shape, wire.item_bytes, len(values) * wire.item_bytes)
    try:
        # One value at a time: a list of Python numbers would take ten times the message's memory.
        return np.fromiter(values, wire.numpy, count=len(values)).reshape(shape)
    except OverflowError as error:  # The field holds 32 bits; an INT8 holds 8.
        limits = np.iinfo(wire.numpy)
        raise ValueError(f"{wire.datatype} values must be {limits.min} to {limits.max}") from error


def from_packed(
    values: Any, wire: WireType, shape: Sequence[int], *, carrier: Any, field: str
) -> NDArray[Any]:
    """Make a tensor of as many values of a float or double field as its shape calls for, all at once.

    One by one takes tens of times as long. `carrier` is an empty message that has such a field: its bytes end
    with the values, little-endian, as an array has them.
    """
    getattr(carrier, field).MergeFrom(values)
    data = carrier.SerializeToString()
    return from_raw(data[len(data) - len(values) * wire.item_bytes :], wire, shape)


def to_raw(array: NDArray[Any], wire: WireType) -> bytes:
    """Write a tensor."""
    if not wire.item_bytes:
        return b"".join(
            len(item).to_bytes(LENGTH_BYTES, "little") + item for item in array.ravel(order="C").tolist()
        )
    return np.ascontiguousarray(array, wire.little).tobytes()


def countable(shape: Sequence[int], wire: WireType) -> bool:
    """Whether an array of this shape can be at all: numpy counts bytes in a signed 64-bit number."""
    # Sizes of zero don't make a shape small: numpy refuses it by its other sizes.
    biggest = prod(size or 1 for size in shape) * (wire.item_bytes or LENGTH_BYTES)
    return min(shape, default=0) >= 0 and biggest <= MAX_TENSOR_BYTES


def row_with_nan(array: NDArray[Any]) -> int | None:
    """Find the first row that has NaN in it."""
    if array.dtype.kind != "f":
        return None
    nan = np.isnan(array)
    return int(nan.reshape(len(array), -1).any(axis=1).argmax()) if nan.any() else None


def check_bytes(shape: Sequence[int], item_bytes: int, got: int) -> None:
    """Refuse a tensor whose bytes aren't those of its shape; in Python's numbers, which don't overflow."""
    expected = prod(shape) * item_bytes
    if got != expected:
        raise ByteCountError(expected, got)


class ByteCountError(ValueError):
    """The shape calls for more or fewer bytes than came."""

    def __init__(self, expected: int, got: int) -> None:
        super().__init__(f"Expected {expected}, got {got}")


def _split(raw: bytes, count: int) -> list[bytes]:
    """Cut a BYTES tensor into its elements."""
    # Before anything is made: so many elements need at least their lengths.
    if count * LENGTH_BYTES > len(raw):
        raise ValueError(f"expected {count} elements, got {len(raw)} bytes in all")
    items: list[bytes] = []
    at = 0
    for _ in range(count):
        start = at + LENGTH_BYTES
        at = start + int.from_bytes(raw[at:start], "little")
        if start > len(raw) or at > len(raw):
            raise ValueError(f"element {len(items)} ends at byte {max(start, at)} of {len(raw)}")
        items.append(raw[start:at])
    if at != len(raw):
        raise ValueError(f"{len(raw) - at} bytes follow the last of {count} elements")
    return items


def _text(items: list[bytes], shape: Sequence[int]) -> NDArray[Any]:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array.reshape(shape)
