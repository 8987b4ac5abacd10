from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ensemble.signature import DTYPES
from server.wire.messages import message_class
from server.wire.tensors import BY_DTYPE, WIRE_TYPES, from_raw, from_raw_bfloat16, from_values, to_raw

NUMBERS = [wire for wire in WIRE_TYPES if wire.item_bytes]


def test_every_dtype_of_a_signature_has_a_wire_type() -> None:
    assert tuple(BY_DTYPE) == DTYPES


def test_every_typed_field_exists() -> None:
    contents = message_class("inference.InferTensorContents")

    assert {wire.field for wire in WIRE_TYPES} - {None} == {
        field.name for field in contents.DESCRIPTOR.fields
    }


@given(data=st.data(), wire=st.sampled_from(NUMBERS))
def test_numbers_come_back_bit_for_bit_from_raw_bytes(data: st.DataObject, wire: Any) -> None:
    array = data.draw(npst.arrays(wire.numpy, npst.array_shapes(max_dims=3)))

    again = from_raw(to_raw(array, wire), wire, array.shape)

    assert (again.dtype, again.shape, again.tobytes()) == (array.dtype, array.shape, array.tobytes())


@given(items=st.lists(st.binary(max_size=9), min_size=1))
def test_text_comes_back_from_raw_bytes(items: list[bytes]) -> None:
    array = np.empty(len(items), dtype=object)
    array[:] = items

    again = from_raw(to_raw(array, BY_DTYPE["bytes"]), BY_DTYPE["bytes"], [len(items)])

    assert again.tolist() == items


def test_raw_bytes_are_little_endian_and_row_major() -> None:
    assert to_raw(np.array([[1, 2], [3, 4]], "int16"), BY_DTYPE["int16"]) == b"\1\0\2\0\3\0\4\0"
    assert from_raw(b"\0\1", BY_DTYPE["int16"], [1]).tolist() == [256]


def test_text_is_a_length_and_bytes() -> None:
    array = np.array([b"ab", b""], dtype=object)

    assert to_raw(array, BY_DTYPE["bytes"]) == b"\2\0\0\0ab\0\0\0\0"


def test_raw_numbers_are_read_where_they_lie() -> None:
    raw = b"\0" * 16

    array = from_raw(raw, BY_DTYPE["float32"], [1, 4])

    assert not array.flags.writeable
    assert not array.flags.owndata


def test_bfloat16_is_the_upper_half_of_a_float32() -> None:
    assert from_raw_bfloat16(b"\x80\x3f\x40\xc0", [1, 2]).tolist() == [[1.0, -3.0]]


@pytest.mark.parametrize(
    ("raw", "count", "text"),
    [
        (b"\1\0\0\0a", 2, "expected 2 elements, got 5 bytes in all"),
        (b"\5\0\0\0abcd", 1, "element 0 ends at byte 9 of 8"),
        (b"\4\0\0\0abcd\1\0", 1, "2 bytes follow the last of 1 elements"),
        (b"\3\0\0\0abc\1", 2, "element 1 ends at byte 12 of 8"),
        (b"\xff\xff\xff\xff", 1, "element 0 ends at byte 4294967299 of 4"),
        (b"", 10**15, "expected 1000000000000000 elements, got 0 bytes in all"),
    ],
)
def test_text_that_does_not_add_up_is_refused(raw: bytes, count: int, text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}$"):
        from_raw(raw, BY_DTYPE["bytes"], [count])


def test_a_bool_is_zero_or_one() -> None:
    with pytest.raises(ValueError, match="a BOOL is a byte that is 0 or 1"):
        from_raw(b"\1\2", BY_DTYPE["bool"], [2])


def test_a_typed_value_that_its_dtype_cannot_hold_is_refused() -> None:
    assert from_values([-128, 127], BY_DTYPE["int8"], [2]).tolist() == [-128, 127]
    with pytest.raises(ValueError, match="INT8 values must be -128 to 127"):
        from_values([128, 0], BY_DTYPE["int8"], [2])
