from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from server.wire import tfs_tensors
from server.wire.messages import message_class, pool

TENSOR = message_class("tensorflow.TensorProto")
NUMBERS = [kind.dtype for kind in tfs_tensors.TFS_TYPES if kind.dtype != "bytes"]


def proto(number: int, shape: list[int], **values: Any) -> Any:
    return TENSOR(dtype=number, tensor_shape={"dim": [{"size": size} for size in shape]}, **values)


def test_names_and_numbers_are_those_of_the_protocol() -> None:
    numbers = {value.name: value.number for value in pool().FindEnumTypeByName("tensorflow.DataType").values}

    assert {name: numbers[name] for name in tfs_tensors.NAMES.values()} == {
        name: number for number, name in tfs_tensors.NAMES.items()
    }
    assert tfs_tensors.type_name(14) == "DT_BFLOAT16"
    assert tfs_tensors.type_name(99) == "DataType 99"


@pytest.mark.parametrize("as_content", [False, True])
@given(data=st.data())
def test_a_tensor_survives_the_wire(data: st.DataObject, as_content: bool) -> None:
    dtype = np.dtype(data.draw(st.sampled_from(NUMBERS)))
    array = data.draw(arrays.arrays(dtype, arrays.array_shapes(max_dims=3, max_side=4)))

    sent = TENSOR.FromString(tfs_tensors.to_proto(array, as_content=as_content).SerializeToString())

    assert tfs_tensors.takes(sent, dtype.name)
    again = tfs_tensors.from_proto(sent, dtype.name)
    assert again.dtype == dtype
    np.testing.assert_array_equal(again, array)
    assert bool(sent.tensor_content) == as_content


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("count", [31, 32, 4096, 600_000])
def test_lengths_of_any_number_of_bytes_are_written_as_the_stock_library_does(dtype: str, count: int) -> None:
    array = np.arange(count, dtype=dtype)
    stock = proto(tfs_tensors.BY_DTYPE[dtype].number, [count])
    getattr(stock, tfs_tensors.BY_DTYPE[dtype].field).extend(array.tolist())

    made = tfs_tensors.to_proto(array)

    assert made.SerializeToString() == stock.SerializeToString()
    np.testing.assert_array_equal(tfs_tensors.from_proto(stock, dtype), array)


def test_text_is_always_typed() -> None:
    array = np.array([[b"a", b"\xff"]], dtype=object)

    sent = tfs_tensors.to_proto(array, as_content=True)

    assert list(sent.string_val) == [b"a", b"\xff"]
    assert tfs_tensors.from_proto(sent, "bytes").tolist() == [[b"a", b"\xff"]]


def test_scores_are_floats_in_float_val() -> None:
    sent = tfs_tensors.to_proto(np.array([[0.25, 0.75]], np.float32))

    assert (sent.dtype, tfs_tensors.shape_of(sent), list(sent.float_val)) == (1, (1, 2), [0.25, 0.75])


def test_halves_travel_as_their_bits() -> None:
    assert tfs_tensors.from_proto(proto(19, [2], half_val=[0x3C00, 0xC000]), "float16").tolist() == [
        1.0,
        -2.0,
    ]


def test_brain_floats_widen_to_float32_typed_or_not() -> None:
    typed = proto(14, [2], half_val=[0x3F80, 0xC000])
    raw = proto(14, [2], tensor_content=b"\x80\x3f\x00\xc0")

    assert [tfs_tensors.from_proto(each, "float32").tolist() for each in (typed, raw)] == [[1.0, -2.0]] * 2
    assert not tfs_tensors.takes(typed, "float64")


def test_values_left_out_are_like_the_last_one() -> None:
    assert tfs_tensors.from_proto(proto(1, [2, 2], float_val=[1, 2]), "float32").tolist() == [[1, 2], [2, 2]]
    assert tfs_tensors.from_proto(proto(7, [3], string_val=[b"a"]), "bytes").tolist() == [b"a"] * 3
    assert tfs_tensors.from_proto(proto(1, [0]), "float32").shape == (0,)


@pytest.mark.parametrize(
    ("sent", "dtype", "text"),
    [
        (proto(1, [4]), "float32", "expected 4 values in float_val or tensor_content, got none"),
        (proto(1, [1], float_val=[1, 2]), "float32", "expected 1 values in float_val, got 2"),
        (
            proto(1, [2**28], float_val=[1]),
            "float32",
            "expected 268435456 values in float_val, got 1; that is too many to fill in",
        ),
        (
            proto(7, [2**20], string_val=[b"a"]),
            "bytes",
            "expected 1048576 values in string_val, got 1; that is too many to fill in",
        ),
        (
            proto(1, [1], int_val=[1]),
            "float32",
            r"DT_FLOAT goes in float_val or tensor_content, but values are in \['int_val'\]",
        ),
        (
            proto(1, [1], float_val=[1], tensor_content=b"1234"),
            "float32",
            "DT_FLOAT goes in float_val or tensor_content, but values are in",
        ),
        (proto(1, [2], tensor_content=b"1234"), "float32", "Expected 8, got 4"),
        (proto(14, [2], tensor_content=b"1"), "float32", "Expected 4, got 1"),
        (proto(7, [1], tensor_content=b"a"), "bytes", "DT_STRING has no tensor_content; use string_val"),
        (proto(6, [1], int_val=[300]), "int8", "INT8 values must be -128 to 127"),
        (proto(19, [1], half_val=[70000]), "float16", "UINT16 values must be 0 to 65535"),
    ],
)
def test_values_that_are_not_the_tensor_are_refused(sent: Any, dtype: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}"):
        tfs_tensors.from_proto(sent, dtype)
