"""Whatever a client sends, it is answered or refused as its own mistake: never INTERNAL, never a crash."""

import asyncio
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from ensemble.errors import EnsembleError
from server.wire.messages import message_class
from server.wire.status import status_of
from server.wire.tensors import BY_DTYPE as WIRE
from server.wire.tfs_models import TfsModels
from server.wire.tfs_tensors import TFS_TYPES, TfsType
from tests.support.models import FakeRepository, infos
from tests.support.tfs import call, tfs

THEIRS = {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED"}
MODELS = st.sampled_from([*infos(), "", "x"])
NAMES = st.sampled_from(["x", "a", "b", "z"])
SIZES = st.one_of(st.integers(-1, 9), st.sampled_from([2**28, 2**31, 2**62, -(2**63)]))
INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(width=32)


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, max_size=8)


VALUES = st.one_of(
    *(
        st.fixed_dictionaries({name: some(of)})
        for name, of in {
            "float_val": FLOATS,
            "double_val": st.floats(),
            "half_val": INT32,
            "int_val": INT32,
            "int64_val": INT64,
            "bool_val": st.booleans(),
            "uint32_val": st.integers(0, 2**32 - 1),
            "uint64_val": st.integers(0, 2**64 - 1),
            "string_val": st.binary(max_size=4),
        }.items()
    ),
    st.fixed_dictionaries({"tensor_content": st.binary(max_size=40)}),
)
SHAPES = st.fixed_dictionaries({"dim": st.lists(st.fixed_dictionaries({"size": SIZES}), max_size=3)})
# Mostly dtypes there are, and some that there aren't.
DTYPES = st.one_of(st.integers(0, 24), INT32)
TENSORS = st.tuples(DTYPES, SHAPES, VALUES, VALUES, st.booleans()).map(
    lambda drawn: {"dtype": drawn[0], "tensor_shape": drawn[1], **drawn[2], **(drawn[3] if drawn[4] else {})}
)
SPECS = st.fixed_dictionaries(
    {"name": MODELS},
    optional={
        "version_label": st.text(max_size=3),
        "signature_name": st.sampled_from(["serving_default", "y"]),
    },
) | st.fixed_dictionaries({"name": MODELS, "version": st.fixed_dictionaries({"value": INT64})})
PREDICTS = st.fixed_dictionaries(
    {"inputs": st.dictionaries(NAMES, TENSORS, max_size=3)},
    optional={
        "model_spec": SPECS,
        "output_filter": st.lists(st.sampled_from(["scores", "label", "entropy", "y"]), max_size=2),
    },
)
FEATURES = st.one_of(
    st.fixed_dictionaries({"float_list": st.fixed_dictionaries({"value": some(FLOATS)})}),
    st.fixed_dictionaries({"int64_list": st.fixed_dictionaries({"value": some(INT64)})}),
    st.fixed_dictionaries({"bytes_list": st.fixed_dictionaries({"value": some(st.binary(max_size=4))})}),
    st.just({}),
)
EXAMPLES = st.fixed_dictionaries(
    {"features": st.fixed_dictionaries({"feature": st.dictionaries(NAMES, FEATURES, max_size=3)})}
)
INPUTS = st.one_of(
    st.fixed_dictionaries({"example_list": st.fixed_dictionaries({"examples": some(EXAMPLES)})}),
    st.fixed_dictionaries(
        {
            "example_list_with_context": st.fixed_dictionaries(
                {"examples": some(EXAMPLES)}, optional={"context": EXAMPLES}
            )
        }
    ),
    st.just({}),
)
CLASSIFIES = st.fixed_dictionaries({"input": INPUTS}, optional={"model_spec": SPECS})
METHODS = {
    method.name: method
    for method in [
        *tfs().methods(),
        *TfsModels(FakeRepository(), lambda _: {}, model_control=True).methods(),
    ]
}


def outcome(name: str, request: Any) -> str:
    """Call a method as the transport does; say which code the caller gets."""

    async def ask() -> None:
        response = await METHODS[name].function(request, call())
        assert isinstance(response, METHODS[name].response)
        response.SerializeToString()

    try:
        asyncio.run(ask())
    except EnsembleError as error:
        return str(status_of(error)[0].name)
    return "OK"


@given(fields=PREDICTS)
def test_any_tensors_are_scored_or_refused(fields: dict[str, Any]) -> None:
    request = message_class("tensorflow.serving.PredictRequest")(**fields)

    assert outcome("Predict", request) in THEIRS | {"OK"}


@given(kind=st.sampled_from(TFS_TYPES), rows=st.integers(0, 3), values=VALUES)
def test_any_values_of_the_right_dtype_and_shape_are_scored_or_refused(
    kind: TfsType, rows: int, values: dict[str, Any]
) -> None:
    shape = {"dim": [{"size": rows}, {"size": 2}]}
    request = message_class("tensorflow.serving.PredictRequest")(
        model_spec={"name": f"takes_{WIRE[kind.dtype].datatype}"},
        inputs={"x": {"dtype": kind.number, "tensor_shape": shape, **values}},
    )

    assert outcome("Predict", request) in THEIRS | {"OK"}


@given(fields=CLASSIFIES, name=st.sampled_from(["Classification", "Regression"]))
def test_any_examples_are_scored_or_refused(fields: dict[str, Any], name: str) -> None:
    request = message_class(f"tensorflow.serving.{name}Request")(**fields)

    assert outcome({"Classification": "Classify", "Regression": "Regress"}[name], request) in THEIRS | {"OK"}


@pytest.mark.parametrize("name", METHODS)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_answered_or_refused(name: str, data: bytes) -> None:
    try:
        request = METHODS[name].request.FromString(data)
    except DecodeError:
        return

    assert outcome(name, request) in THEIRS | {"OK"}
