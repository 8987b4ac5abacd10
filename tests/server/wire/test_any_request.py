"""Whatever a caller sends, it is told what is wrong with it: never INTERNAL, never a crash."""

import asyncio
from math import prod
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ensemble.member import Rows, Scores, row_count
from server.wire.call import Call
from server.wire.messages import message_class
from server.wire.oip import Oip
from server.wire.status import status_of
from server.wire.tensors import BY_DTYPE, FIELD_DATATYPES, LENGTH_BYTES, WIRE_TYPES
from server.wire.tfs import Tfs
from server.wire.tfs_tensors import TFS_TYPES
from tests.support.models import FakeModels, infos

Code = grpc.StatusCode
ALLOWED = {Code.OK, Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.UNIMPLEMENTED, Code.UNAVAILABLE}
MODELS = sorted(infos())
SIZES = st.one_of(st.integers(-2, 9), st.sampled_from([2**31, 2**40, 2**62, 2**63 - 1, -(2**63)]))
SHAPES = st.lists(SIZES, max_size=4)
NAMES = st.sampled_from(["x", "a", "b", "scores", "label", "", "\0", "x" * 300])
DATATYPES = st.sampled_from([*(wire.datatype for wire in WIRE_TYPES), "BF16", "fp32", "", "FP128"])
RAW = st.one_of(st.binary(max_size=80), st.integers(0, 40).map(lambda count: b"\0" * (4 * count)))
NUMBERS = {
    "bool_contents": st.booleans(),
    "int_contents": st.integers(-(2**31), 2**31 - 1),
    "int64_contents": st.integers(-(2**63), 2**63 - 1),
    "uint_contents": st.integers(0, 2**32 - 1),
    "uint64_contents": st.integers(0, 2**64 - 1),
    "fp32_contents": st.floats(width=32),
    "fp64_contents": st.floats(),
    "bytes_contents": st.binary(max_size=8),
}
PARAMETERS = st.dictionaries(
    st.sampled_from(["timeout", "priority", "classification", "triton_x", "binary_data_size", "?"]),
    st.one_of(
        st.booleans().map(lambda value: {"bool_param": value}),
        st.integers(-(2**63), 2**63 - 1).map(lambda value: {"int64_param": value}),
        st.text(max_size=5).map(lambda value: {"string_param": value}),
        st.floats().map(lambda value: {"double_param": value}),
        st.integers(0, 2**64 - 1).map(lambda value: {"uint64_param": value}),
        st.just({}),
    ),
    max_size=3,
)


@st.composite
def tensors(draw: st.DrawFn) -> dict[str, Any]:
    """One input, with typed values or none."""
    field = draw(st.sampled_from([None, *FIELD_DATATYPES]))
    contents = {field: draw(st.lists(NUMBERS[field], max_size=12))} if field else {}
    return {
        "name": draw(NAMES),
        "datatype": draw(DATATYPES),
        "shape": draw(st.one_of(SHAPES, st.sampled_from([[1, 4], [2, 2], [1, 2], [3]]))),
        "parameters": draw(PARAMETERS),
        **({"contents": contents} if contents else {}),
    }


@st.composite
def oip_requests(draw: st.DrawFn) -> Any:
    outputs = st.fixed_dictionaries({"name": NAMES, "parameters": PARAMETERS})
    return message_class("inference.ModelInferRequest")(
        model_name=draw(st.sampled_from([*MODELS, "nobody", ""])),
        model_version=draw(st.sampled_from(["", "3", "4", "-1", "x", "9" * 30])),
        id=draw(st.text(max_size=3)),
        parameters=draw(PARAMETERS),
        inputs=draw(st.lists(tensors(), max_size=3)),
        outputs=draw(st.lists(outputs, max_size=2)),
        raw_input_contents=draw(st.lists(RAW, max_size=3)),
    )


@st.composite
def nearly_right(draw: st.DrawFn) -> Any:
    """A request that the model takes, but for up to two things."""
    info = infos()[draw(st.sampled_from(MODELS))]
    rows = draw(st.integers(0, 9))
    request = message_class("inference.ModelInferRequest")(model_name=info.name)
    for spec in info.signature.inputs:
        shape = [rows, *(2 if size < 0 else size for size in spec.shape)]
        wire = BY_DTYPE[spec.dtype]
        request.inputs.add(name=spec.name, datatype=wire.datatype, shape=shape)
        request.raw_input_contents.append(b"\0" * (prod(shape) * (wire.item_bytes or LENGTH_BYTES)))
    for place in draw(st.lists(st.integers(0, len(request.inputs) - 1), max_size=2)):
        tensor = request.inputs[place]
        wrong = draw(st.integers(0, 5))
        if wrong == 0:
            tensor.shape[:] = draw(SHAPES)
        elif wrong == 1:
            tensor.datatype = draw(DATATYPES)
        elif wrong == 2:
            request.raw_input_contents[place] = draw(RAW)
        elif wrong == 3:
            tensor.name = draw(NAMES)
        elif wrong == 4:
            request.MergeFrom(type(request)(parameters=draw(PARAMETERS)))
        else:
            outputs = [{"name": draw(NAMES), "parameters": draw(PARAMETERS)}]
            request.MergeFrom(type(request)(outputs=outputs))
    return request


@st.composite
def tfs_requests(draw: st.DrawFn) -> Any:
    request = message_class("tensorflow.serving.PredictRequest")()
    request.model_spec.name = draw(st.sampled_from([*MODELS, "nobody", ""]))
    request.output_filter.extend(draw(st.lists(NAMES, max_size=2)))
    for name in draw(st.lists(NAMES, max_size=3)):
        tensor = request.inputs[name]
        tensor.dtype = draw(st.integers(0, 30))
        for size in draw(SHAPES):
            tensor.tensor_shape.dim.add(size=size)
        tensor.tensor_shape.unknown_rank = draw(st.booleans())
        tensor.tensor_content = draw(RAW)
        field = draw(st.sampled_from([None, *sorted({kind.field for kind in TFS_TYPES})]))
        if field == "string_val":
            tensor.string_val.extend(draw(st.lists(st.binary(max_size=8), max_size=4)))
        elif field is not None:
            getattr(tensor, field).extend(draw(st.lists(st.integers(0, 1), max_size=4)))
    return request


def zeros(rows: Rows) -> Scores:
    return np.zeros((row_count(rows), 2), np.float32)


def outcome(function: Any, request: Any) -> Any:
    """The code that `request` is answered with."""

    async def answered() -> None:
        deadline = asyncio.get_running_loop().time() + 10
        (await function(request, Call(deadline))).SerializeToString()

    try:
        asyncio.run(answered())
    except Exception as error:  # noqa: BLE001 - any error at all is what is looked for
        return status_of(error)[0]
    return Code.OK


ANY = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


@ANY
@given(oip_requests())
def test_any_oip_request_is_answered_or_refused(request: Any) -> None:
    assert outcome(Oip(FakeModels(run=zeros)).model_infer, request) in ALLOWED


@ANY
@given(nearly_right())
def test_any_request_that_is_nearly_right_is_answered_or_refused(request: Any) -> None:
    assert outcome(Oip(FakeModels(run=zeros)).model_infer, request) in ALLOWED


@ANY
@given(tfs_requests())
def test_any_tfs_request_is_answered_or_refused(request: Any) -> None:
    assert outcome(Tfs(FakeModels(run=zeros), lambda _: {}).predict, request) in ALLOWED


@ANY
@given(st.binary(max_size=200))
@example(b"\x2a\x00")
def test_any_bytes_that_parse_are_answered_or_refused(data: bytes) -> None:
    for kind, function in (
        ("inference.ModelInferRequest", Oip(FakeModels(run=zeros)).model_infer),
        ("tensorflow.serving.PredictRequest", Tfs(FakeModels(run=zeros), lambda _: {}).predict),
    ):
        try:
            request = message_class(kind).FromString(data)
        except DecodeError:
            continue
        assert outcome(function, request) in ALLOWED
