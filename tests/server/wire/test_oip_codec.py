from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ensemble.errors import InvalidRequestError
from ensemble.signature import TensorSpec
from server.wire.messages import message_class
from server.wire.oip_codec import decode_request
from server.wire.oip_outputs import requested_outputs
from server.wire.tensors import BY_DTYPE, WIRE_TYPES, to_raw
from tests.support.models import info_of

SUMS = info_of("sums", TensorSpec("x", "float32", (4,)))
PAIR = info_of("pair", TensorSpec("a", "float32", (2,)), TensorSpec("b", "int64", ()))
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)


def request_of(*tensors: tuple[str, Any], **fields: Any) -> Any:
    """A raw request of these (name, array)."""
    request = message_class("inference.ModelInferRequest")(model_name="m", **fields)
    for name, array in tensors:
        wire = BY_DTYPE["bytes" if array.dtype == object else str(array.dtype)]
        request.inputs.add(name=name, datatype=wire.datatype, shape=array.shape)
        request.raw_input_contents.append(to_raw(array, wire))
    return request


def decode_and_choose(request: Any, info: Any) -> Any:
    requested_outputs(request, info)
    return decode_request(request, info)


def typed(array: Any, **contents: Any) -> Any:
    """A request of one input `x` with these typed contents."""
    request = request_of(("x", array))
    request.ClearField("raw_input_contents")
    for field, values in contents.items():
        getattr(request.inputs[0].contents, field).extend(values)
    return request


def refusal(request: Any, info: Any = SUMS) -> str:
    """How `request` is refused."""
    with pytest.raises(InvalidRequestError) as raised:
        decode_and_choose(request, info)
    text = str(raised.value)
    start = f"[request id: {request.id or '<id_unknown>'}] "
    assert text.startswith(start)
    return text.removeprefix(start)


def test_raw_rows_are_read_without_a_copy() -> None:
    rows = decode_request(request_of(("x", ROW)), SUMS)

    assert rows["x"].tolist() == [[1.0, 2.0, 3.0, 4.0]]
    assert not rows["x"].flags.owndata


def test_inputs_may_come_in_any_order_and_go_in_the_signatures() -> None:
    request = request_of(("b", np.array([5, 6])), ("a", np.ones((2, 2), np.float32)))

    rows = decode_request(request, PAIR)

    assert list(rows) == ["a", "b"]
    assert rows["b"].tolist() == [5, 6]


@pytest.mark.parametrize("scalar_first", [True, False])
def test_an_input_without_a_shape_is_refused_also_where_a_row_of_it_is_one_number(scalar_first: bool) -> None:
    specs = [TensorSpec("a", "float32", (2,)), TensorSpec("b", "int64", ())]
    arrays = [("a", np.ones((1, 2), np.float32)), ("b", np.array([5]))]
    step = -1 if scalar_first else 1
    request = request_of(*arrays[::step])
    del request.inputs[[tensor.name for tensor in request.inputs].index("b")].shape[:]

    text = refusal(request, info_of("pair", *specs[::step]))

    assert text.startswith("unexpected shape for input 'b' for model 'pair'. Expected [-1], got [].")


@given(data=st.data(), wire=st.sampled_from([wire for wire in WIRE_TYPES if wire.field]))
def test_typed_and_raw_requests_mean_the_same(data: st.DataObject, wire: Any) -> None:
    finite = {"allow_nan": False} if wire.dtype.startswith("float") else None
    if wire.dtype == "bytes":
        array = np.array([[b"ab", b""]], dtype=object)
    else:
        array = data.draw(npst.arrays(wire.numpy, st.tuples(st.integers(1, 5), st.just(2)), elements=finite))
    info = info_of("m", TensorSpec("x", wire.dtype, (2,)))

    by_raw = decode_request(request_of(("x", array)), info)["x"]
    by_type = decode_request(typed(array, **{wire.field: array.ravel().tolist()}), info)["x"]

    assert by_raw.tolist() == by_type.tolist() == array.tolist()
    assert by_raw.dtype == by_type.dtype == array.dtype


def test_half_floats_travel_raw() -> None:
    info = info_of("m", TensorSpec("x", "float16", (2,)))
    array = np.array([[0.5, 2]], np.float16)

    assert decode_request(request_of(("x", array)), info)["x"].tolist() == [[0.5, 2.0]]
    assert refusal(typed(array, fp32_contents=[0.5, 2]), info) == (
        "unable to read the values for input 'x' for model 'm': FP16 has no typed contents; "
        "use raw_input_contents"
    )


def test_brain_floats_are_taken_raw_where_float32_is_expected() -> None:
    request = request_of(("x", ROW))
    request.inputs[0].datatype = "BF16"
    request.raw_input_contents[0] = b"\x80\x3f\x00\x40\x40\x40\x80\x40"

    assert decode_request(request, SUMS)["x"].tolist() == [[1.0, 2.0, 3.0, 4.0]]


def test_a_wrong_dtype_is_refused_and_never_cast() -> None:
    assert refusal(request_of(("x", ROW.astype(np.float64)), id="7")) == (
        "inference input 'x' data-type is 'FP64', but model 'sums' expects 'FP32'"
    )


@pytest.mark.parametrize(
    "shape", [(), (4,), (1, 5), (1, 4, 1), (-1, 4), (1, -4), (2**62, 4), (-(2**62), -4), (1, 0)]
)
def test_a_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    request = request_of(("x", ROW))
    request.inputs[0].shape[:] = shape

    assert refusal(request).startswith(
        "unexpected shape for input 'x' for model 'sums'. Expected [-1,4], got "
        f"[{','.join(map(str, shape))}]. NOTE: "
    )


def test_a_shape_of_zeros_that_numpy_could_not_hold_is_refused() -> None:
    info = info_of("m", TensorSpec("x", "float32", (-1, -1)), max_batch_size=0)
    request = request_of(("x", np.zeros((1, 0, 5), np.float32)))
    assert decode_request(request, info)["x"].shape == (1, 0, 5)

    request.inputs[0].shape[:] = (1, 0, 2**62)

    assert refusal(request, info).startswith("unexpected shape for input 'x'")


def test_an_empty_batch_is_refused() -> None:
    assert refusal(request_of(("x", ROW[:0]))).startswith("input 'x' for model 'sums' has no rows")


def test_the_largest_batch_passes_and_one_row_more_does_not() -> None:
    assert len(decode_request(request_of(("x", np.repeat(ROW, 8, 0))), SUMS)["x"]) == 8
    assert refusal(request_of(("x", np.repeat(ROW, 9, 0)))) == (
        "inference request batch-size must be <= 8 for 'sums', got 9"
    )


def test_inputs_of_different_batch_sizes_are_refused() -> None:
    request = request_of(("a", np.ones((2, 2), np.float32)), ("b", np.array([1])))

    assert refusal(request, PAIR) == "input 'b' batch size does not match other inputs for 'pair'"


def test_missing_inputs_are_named() -> None:
    assert refusal(request_of(("b", np.array([1]))), PAIR) == (
        "expected 2 inputs but got 1 inputs for model 'pair'. Got input(s) ['b'], but missing required "
        "input(s) ['a']. Please provide all required input(s)."
    )


@pytest.mark.parametrize("names", [("z",), ("x", "z")])
def test_an_unknown_input_is_refused(names: tuple[str, ...]) -> None:
    assert refusal(request_of(*((name, ROW) for name in names))) == (
        "unexpected inference input 'z' for model 'sums'"
    )


def test_an_input_given_twice_is_refused() -> None:
    assert refusal(request_of(("x", ROW), ("x", ROW))) == "input 'x' already exists in request"


@pytest.mark.parametrize(("raw", "got"), [(b"", 0), (b"\0" * 15, 15), (b"\0" * 17, 17)])
def test_a_byte_count_that_is_not_the_shapes_is_refused(raw: bytes, got: int) -> None:
    request = request_of(("x", ROW))
    request.raw_input_contents[0] = raw

    assert refusal(request) == (
        f"input byte size mismatch for input 'x' for model 'sums'. Expected 16, got {got}"
    )


def test_a_huge_shape_over_a_few_bytes_allocates_nothing() -> None:
    info = info_of("m", TensorSpec("x", "float32", (-1,)), max_batch_size=0)
    request = request_of(("x", ROW))
    request.inputs[0].shape[:] = (2**30, 2**30)

    assert refusal(request, info) == (
        "input byte size mismatch for input 'x' for model 'm'. Expected 4611686018427387904, got 16"
    )


def test_too_few_typed_values_are_refused() -> None:
    assert refusal(typed(ROW, fp32_contents=[1, 2, 3])) == (
        "input byte size mismatch for input 'x' for model 'sums'. Expected 16, got 12"
    )


def test_too_few_texts_are_refused() -> None:
    info = info_of("m", TensorSpec("x", "bytes", (2,)))
    request = typed(np.array([[b"a", b"b"]], dtype=object), bytes_contents=[b"a"])

    assert refusal(request, info) == (
        "unable to read the values for input 'x' for model 'm': expected 2 elements, got 1"
    )


def test_typed_values_in_another_dtypes_field_are_refused() -> None:
    assert refusal(typed(ROW, int_contents=[1, 2, 3, 4])) == (
        "unexpected explicit tensor data for input tensor 'x' for model 'sums' of type 'INT32', expected "
        "datatype 'FP32'"
    )


def test_an_input_without_data_is_refused() -> None:
    nothing = "unable to find data for input tensor 'x' for model 'sums' in request."

    assert refusal(typed(ROW)) == nothing


def test_a_raw_entry_too_few_is_data_that_cannot_be_found() -> None:
    request = request_of(("a", np.ones((1, 2), np.float32)), ("b", np.array([1])))
    del request.raw_input_contents[1]

    assert refusal(request, PAIR) == "unable to find data for input tensor 'b' for model 'pair' in request."


def test_a_raw_entry_too_many_is_refused() -> None:
    request = request_of(("x", ROW))
    request.raw_input_contents.append(b"")

    assert refusal(request) == (
        "expected 1 raw_input_contents, one for each input, but got 2 for model 'sums'"
    )


def test_raw_and_typed_together_are_refused() -> None:
    request = request_of(("x", ROW))
    request.inputs[0].contents.fp32_contents.append(1)

    assert refusal(request) == (
        "contents field must not be specified when using raw_input_contents for 'x' for model 'sums'"
    )


def test_nan_is_refused_with_its_row_unless_allowed() -> None:
    array = np.repeat(ROW, 3, 0)
    array[2, 1] = np.nan
    request = request_of(("x", array))

    assert refusal(request).startswith("input 'x' for model 'sums' has NaN in row 2;")
    assert np.isnan(decode_request(request, SUMS, allow_nan=True)["x"][2, 1])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda r: r.outputs.add(name="y"), "unexpected inference output 'y' for model 'sums'"),
        (
            lambda r: (r.outputs.add(name="scores"), r.outputs.add(name="scores")),
            "output 'scores' already exists in request",
        ),
        (
            lambda r: r.parameters["triton_own"].__setattr__("bool_param", True),
            "parameter keys starting with 'triton_' are reserved, but got 'triton_own'; rename it",
        ),
        (
            lambda r: r.inputs[0].parameters["shared_memory_region"].__setattr__("string_param", "a"),
            "shared memory is not offered: send input 'x' for model 'sums' in raw_input_contents",
        ),
    ],
)
def test_what_is_not_offered_is_refused(change: Callable[[Any], object], text: str) -> None:
    request = request_of(("x", ROW), id="a b")
    change(request)

    assert refusal(request) == text
