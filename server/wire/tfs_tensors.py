"""TensorFlow's dtypes under our names, and `TensorProto` <-> arrays.

As in `tensors`, nothing here casts, and nothing is allocated before the message is known to hold what its
shape calls for. Errors are `ValueError`s that say what is wrong with the values; the codec says whose.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import tensors
from .messages import message_class

CONTENT = "tensor_content"
# A tensor may leave out values that are like the last one. So much is filled in, and no more: a few bytes
# shouldn't make the server allocate what their shape likes.
MAX_FILLED_BYTES = 2**22


@dataclass(frozen=True, slots=True)
class TfsType:
    """One dtype: ours, TensorFlow's name and number for it, and the field of `TensorProto` it goes in."""

    dtype: str  # as in `TensorSpec`
    name: str
    number: int
    field: str


TFS_TYPES = (
    TfsType("bool", "DT_BOOL", 10, "bool_val"),
    TfsType("int8", "DT_INT8", 6, "int_val"),
    TfsType("int16", "DT_INT16", 5, "int_val"),
    TfsType("int32", "DT_INT32", 3, "int_val"),
    TfsType("int64", "DT_INT64", 9, "int64_val"),
    TfsType("uint8", "DT_UINT8", 4, "int_val"),
    TfsType("uint16", "DT_UINT16", 17, "int_val"),
    TfsType("uint32", "DT_UINT32", 22, "uint32_val"),
    TfsType("uint64", "DT_UINT64", 23, "uint64_val"),
    TfsType("float16", "DT_HALF", 19, "half_val"),
    TfsType("float32", "DT_FLOAT", 1, "float_val"),
    TfsType("float64", "DT_DOUBLE", 2, "double_val"),
    TfsType("bytes", "DT_STRING", 7, "string_val"),
)
BY_DTYPE = {kind.dtype: kind for kind in TFS_TYPES}
# Taken where a model takes float32, which loses nothing. No array of ours has it.
BFLOAT16 = TfsType("", "DT_BFLOAT16", 14, "half_val")
NAMES = {kind.number: kind.name for kind in (*TFS_TYPES, BFLOAT16)}
_BITS = tensors.BY_DTYPE["uint16"]
# Typed values that a message holds one after the other, little-endian, as an array does: the fields' numbers.
# Such values are moved all at once, which is tens of times as fast as one by one.
_LAID_OUT = {"float_val": 5, "double_val": 6}
_LENGTH_DELIMITED = 2


def type_name(number: int) -> str:
    """Call a dtype as TensorFlow does, or by its number if it is none of ours."""
    return NAMES.get(number, f"DataType {number}")


def takes(proto: Any, dtype: str) -> bool:
    """Whether the tensor's dtype is `dtype`, or widens to it without loss."""
    return proto.dtype == BY_DTYPE[dtype].number or (proto.dtype == BFLOAT16.number and dtype == "float32")


def shape_of(proto: Any) -> tuple[int, ...]:
    """Read the shape."""
    return tuple(dim.size for dim in proto.tensor_shape.dim)


def from_proto(proto: Any, dtype: str) -> NDArray[Any]:
    """Read a tensor that `takes` has said yes to, and whose shape is countable."""
    kind = BFLOAT16 if proto.dtype == BFLOAT16.number else BY_DTYPE[dtype]
    shape, wire = shape_of(proto), tensors.BY_DTYPE[dtype]
    filled = [field.name for field, _ in proto.ListFields() if field.name == CONTENT or "_val" in field.name]
    others = [field for field in filled if field not in (CONTENT, kind.field)]
    if others or len(filled) > 1:
        raise ValueError(f"{kind.name} goes in {kind.field} or {CONTENT}, but values are in {filled}")
    if filled == [CONTENT]:
        return _from_content(proto.tensor_content, kind, wire, shape)
    values = getattr(proto, kind.field)
    if kind.field in _LAID_OUT and len(values) == prod(shape):
        carrier = message_class("tensorflow.TensorProto")()
        return tensors.from_packed(values, wire, shape, carrier=carrier, field=kind.field)
    values = _whole(values, kind, wire, shape)
    if kind.field != "half_val":
        return tensors.from_values(values, wire, shape)
    bits = tensors.from_values(values, _BITS, shape)
    if kind is BFLOAT16:
        return (bits.astype(np.uint32) << 16).view(np.float32)
    return bits.view(np.float16)


def to_proto(array: NDArray[Any], *, as_content: bool = False) -> Any:
    """Write a tensor in the field for its dtype, or `as_content`, which text never is."""
    kind = BY_DTYPE["bytes" if array.dtype == object else array.dtype.name]
    proto = message_class("tensorflow.TensorProto")(
        dtype=kind.number, tensor_shape={"dim": [{"size": size} for size in array.shape]}
    )
    if as_content and kind.dtype != "bytes":
        proto.tensor_content = tensors.to_raw(array, tensors.BY_DTYPE[kind.dtype])
        return proto
    if kind.field in _LAID_OUT:
        raw = tensors.to_raw(array, tensors.BY_DTYPE[kind.dtype])
        tag = _LAID_OUT[kind.field] << 3 | _LENGTH_DELIMITED
        proto.MergeFromString(bytes([tag]) + _varint(len(raw)) + raw)
        return proto
    values = array.view(np.uint16) if kind.field == "half_val" else array
    getattr(proto, kind.field).extend(values.ravel(order="C").tolist())
    return proto


def _varint(number: int) -> bytes:
    """Write a length as protobuf does: seven bits a byte, the lowest first."""
    written = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def _from_content(
    content: bytes, kind: TfsType, wire: tensors.WireType, shape: Sequence[int]
) -> NDArray[Any]:
    if not wire.item_bytes:
        raise ValueError(f"{kind.name} has no {CONTENT}; use {kind.field}")
    if kind is BFLOAT16:
        return tensors.from_raw_bfloat16(content, shape)
    return tensors.from_raw(content, wire, shape)


def _whole(
    values: Sequence[Any], kind: TfsType, wire: tensors.WireType, shape: Sequence[int]
) -> Sequence[Any]:
    """Fill in the values that were left out: all like the last one."""
    wanted = prod(shape)
    missing = wanted - len(values)
    if missing == 0:
        return values
    if not values:
        raise ValueError(f"expected {wanted} values in {kind.field} or {CONTENT}, got none")
    if missing < 0:
        raise ValueError(f"expected {wanted} values in {kind.field}, got {len(values)}")
    each = wire.item_bytes or len(values[-1]) + tensors.LENGTH_BYTES
    if wanted * each > MAX_FILLED_BYTES:
        raise ValueError(
            f"expected {wanted} values in {kind.field}, got {len(values)}; that is too many to fill in with "
            "the last one: send them all"
        )
    return [*values, *([values[-1]] * missing)]
