from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from ensemble.errors import InvalidRequestError, ModelNotFoundError, OverloadedError
from server.wire import tfs_tensors
from server.wire.messages import message_class
from server.wire.serving import UnknownSignatureError
from server.wire.tfs import Tfs
from tests.support.models import FakeModels, infos
from tests.support.tfs import call, message, spec, tfs

X = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32)


async def predict(arrays: Mapping[str, Any], *, service: Tfs | None = None, **fields: Any) -> Any:
    inputs = {
        name: array if hasattr(array, "dtype") and not isinstance(array, np.ndarray) else tensor(array)
        for name, array in arrays.items()
    }
    request = message("PredictRequest", inputs=inputs, **{"model_spec": spec(), **fields})
    return await (service or tfs()).predict(request, call())


def tensor(array: Any) -> Any:
    return tfs_tensors.to_proto(np.asarray(array))


def test_the_methods_are_those_of_the_service() -> None:
    assert [(each.service, each.name) for each in tfs().methods()] == [
        ("tensorflow.serving.PredictionService", name)
        for name in ("Classify", "Regress", "Predict", "MultiInference", "GetModelMetadata")
    ]


async def test_an_answer_is_typed_and_says_who_gave_it() -> None:
    answer = await predict({"x": X})

    assert list(answer.outputs) == ["scores"]
    assert list(answer.outputs["scores"].float_val) == [10.0, 20.0, 26.0, 52.0]
    assert [dim.size for dim in answer.outputs["scores"].tensor_shape.dim] == [2, 2]
    assert answer.model_spec == message(
        "ModelSpec", name="sums", version={"value": 3}, signature_name="serving_default"
    )


async def test_tensor_content_is_answered_where_the_operator_wants_it() -> None:
    answer = await predict({"x": X[:1]}, service=tfs(tensor_content=True))

    assert answer.outputs["scores"].tensor_content == np.array([10, 20], "<f4").tobytes()
    assert not answer.outputs["scores"].float_val


@pytest.mark.parametrize(
    ("fields", "version"),
    [
        ({"version": {"value": 2}}, 2),
        ({"version_label": "stable"}, 2),
        ({"version_label": "2"}, 2),
        ({"signature_name": "serving_default"}, 3),
    ],
)
async def test_a_version_or_a_label_chooses(fields: dict[str, Any], version: int) -> None:
    answer = await predict({"x": X}, model_spec=spec(**fields))

    assert answer.model_spec.version.value == version


async def test_outputs_are_those_asked_for_and_members_only_when_needed() -> None:
    answer = await predict({"x": X[:1]}, output_filter=["label", "member_scores"])

    assert set(answer.outputs) == {"label", "member_scores"}
    assert list(answer.outputs["label"].string_val) == [b"yes"]
    assert list(answer.outputs["member_scores"].float_val) == [10.0, 20.0, 20.0, 10.0]


async def test_the_call_hears_which_model_answered_and_of_no_other() -> None:
    known, unknown = call(), call()
    await tfs().predict(message("PredictRequest", model_spec=spec(), inputs={"x": tensor(X)}), known)
    with pytest.raises(ModelNotFoundError):
        await tfs().predict(message("PredictRequest", model_spec=spec("made up")), unknown)

    assert (known.model, known.version) == ("sums", "3")
    assert (unknown.model, unknown.version) == ("", "")


@pytest.mark.parametrize("wire", ["INT8", "UINT16", "INT64", "FP16", "FP64", "BYTES"])
async def test_every_dtype_is_taken(wire: str) -> None:
    dtype = infos()[f"takes_{wire}"].signature.inputs[0].dtype
    array = np.array([[b"a", b"abc"]], object) if wire == "BYTES" else np.array([[1, 3]], dtype)

    answer = await predict({"x": array}, model_spec=spec(f"takes_{wire}"))

    assert list(answer.outputs["scores"].float_val) == [4.0, 8.0]


INPUT_SIZE = (
    "input size does not match signature: 1!=2 len({b}) != len({a,b}). Sent extra: {}. Missing but "
    "required: {a}."
)
NOT_FOUND = [
    (spec("x"), "Latest(x)"),
    (spec(version={"value": 9}), "Specific(sums, 9)"),
    (spec(version={"value": 0}), "Specific(sums, 0)"),
    (spec(version={"value": -(2**63)}), "Specific(sums, -9223372036854775808)"),
    (spec(version={"value": 4}), "Specific(sums, 4)"),
    (spec(version_label="old"), "Specific(sums, 1)"),
    (spec(version_label="7"), "Specific(sums, 7)"),
]


@pytest.mark.parametrize(("wanted", "said"), NOT_FOUND)
async def test_what_is_not_served_is_not_found(wanted: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelNotFoundError) as raised:
        await predict({"x": X}, model_spec=wanted)

    assert str(raised.value) == f"Servable not found for request: {said}"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"model_spec": None}, "Missing ModelSpec"),
        ({"model_spec": {}}, "ModelSpec has no name specified."),
        ({"model_spec": spec(version_label="x")}, "Unrecognized servable version label: x"),
        ({"model_spec": spec(version_label="9" * 5000)}, "Unrecognized servable version label: 999"),
        (
            {"model_spec": spec("pair"), "arrays": {"b": np.array([1])}},
            INPUT_SIZE,
        ),
        (
            {"arrays": {"z": X}},
            "input tensor alias not found in signature: z. Inputs expected to be in the set {x}.",
        ),
        (
            {"arrays": {"x": tfs_tensors.to_proto(X[:, :3])}},
            "input 'x' for model 'sums' must have the shape [-1,4], but got [2,3]; the first size",
        ),
        (
            {
                "arrays": {
                    "x": message_class("tensorflow.TensorProto")(
                        dtype=1,
                        tensor_shape={"dim": [{"size": 1}, {"size": 4}]},
                        tensor_content=b"123456789012345",
                    )
                }
            },
            "tensor parsing error: x: Expected 16, got 15",
        ),
        (
            {"arrays": {"x": X.astype(np.float64)}},
            "input 'x' is DT_DOUBLE, but model 'sums' expects DT_FLOAT",
        ),
        ({"arrays": {"x": X[:0]}}, "a request to model 'sums' has no rows; send at least one"),
        (
            {"arrays": {"x": np.ones((9, 4), np.float32)}},
            "Task size 9 is larger than maximum input batch size 8",
        ),
        (
            {
                "model_spec": spec("pair"),
                "arrays": {"a": np.ones((2, 2), np.float32), "b": np.ones(1, np.int64)},
            },
            "Batching session Run() input tensors must have equal 0th-dimension size, but got [2, 1] for",
        ),
        (
            {"arrays": {"x": (X * [[1], [np.nan]]).astype(np.float32)}},
            "input 'x' for model 'sums' has NaN in row 1",
        ),
        (
            {"output_filter": ["y"]},
            "output tensor alias not found in signature: y Outputs expected to be in the set {scores,label,",
        ),
        ({"output_filter": ["scores", "scores"]}, "duplicate output tensor alias: scores"),
    ],
)
async def test_a_wrong_request_is_told_in_the_words_that_clients_know(
    fields: dict[str, Any], text: str
) -> None:
    arrays = fields.pop("arrays", {"x": X})

    with pytest.raises(InvalidRequestError) as raised:
        await predict(arrays, **fields)

    assert str(raised.value).startswith(text)


async def test_a_declared_gigabyte_is_refused_without_being_made() -> None:
    huge = message_class("tensorflow.TensorProto")(
        dtype=1, tensor_shape={"dim": [{"size": 1}, {"size": 2**28}]}, float_val=[1]
    )
    absurd = message_class("tensorflow.TensorProto")(
        dtype=1, tensor_shape={"dim": [{"size": 1}, {"size": 2**62}]}, float_val=[1]
    )

    with pytest.raises(InvalidRequestError, match=r"^tensor parsing error: x: .* too many to fill in"):
        await predict({"x": huge}, model_spec=spec("wide"))
    with pytest.raises(InvalidRequestError, match=r"must have the shape \[-1,-1\]"):
        await predict({"x": absurd}, model_spec=spec("wide"))


async def test_an_unknown_signature_is_a_failed_precondition() -> None:
    with pytest.raises(UnknownSignatureError, match=r'^Serving signature key "foo" not found\.'):
        await predict({"x": X}, model_spec=spec(signature_name="foo"))


async def test_a_full_queue_is_told_in_the_words_that_clients_know() -> None:
    service = tfs(FakeModels(failure=OverloadedError("8 rows wait")))

    with pytest.raises(OverloadedError) as raised:
        await predict({"x": X}, service=service)

    assert str(raised.value) == (
        "The batch scheduling queue to which this task was submitted is full; 8 rows wait"
    )


async def test_metadata_describes_the_one_signature() -> None:
    request = message("GetModelMetadataRequest", model_spec=spec("pair"), metadata_field=["signature_def"])

    answer = await tfs().get_model_metadata(request, call())

    described = message("SignatureDefMap")
    assert answer.metadata["signature_def"].Unpack(described)
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("pair", 3)
    signature = described.signature_def["serving_default"]
    assert signature.method_name == "tensorflow/serving/predict"
    told = {
        name: (info.name, info.dtype, [dim.size for dim in info.tensor_shape.dim])
        for name, info in [*signature.inputs.items(), *signature.outputs.items()]
    }
    assert told == {"a": ("a:0", 1, [-1, 2]), "b": ("b:0", 9, [-1]), "scores": ("scores:0", 1, [-1, 2])}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ([], "GetModelMetadataRequest must specify at least one metadata_field"),
        (["signature_def", "x"], "Metadata field x is not supported"),
    ],
)
async def test_metadata_has_one_field(fields: list[str], text: str) -> None:
    request = message("GetModelMetadataRequest", model_spec=spec(), metadata_field=fields)

    with pytest.raises(InvalidRequestError) as raised:
        await tfs().get_model_metadata(request, call())

    assert str(raised.value) == text
