from typing import Any

import numpy as np
import pytest

from ensemble.errors import InvalidRequestError
from ensemble.signature import TensorSpec
from server.wire.messages import message_class
from server.wire.oip_outputs import OPTIONAL, encode_response, requested_outputs, wants_members
from server.wire.serving import Answer
from tests.support.models import info_of

SUMS = info_of("sums", TensorSpec("x", "float32", (4,)))
SCORES = np.array([[0.25, 0.75], [1, 0]], np.float32)
# Of two members, the second weighs a quarter and is sure of the opposite in the second row.
SURE = np.array([[0.25, 0.75], [1, 0]], np.float32)
UNSURE = np.array([[0.25, 0.75], [0, 1]], np.float32)
POOLED = np.array([[0.25, 0.75], [0.75, 0.25]], np.float32)
ANSWER = Answer(3, POOLED, {"sure": SURE, "unsure": UNSURE}, {"silent": 0, "sure": 0.75, "unsure": 0.25})
H = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))  # nats


def request_of(*outputs: str, **fields: Any) -> Any:
    request = message_class("inference.ModelInferRequest")(model_name="m", **fields)
    for name in outputs:
        request.outputs.add(name=name)
    return request


def answered(request: Any, answer: Answer = ANSWER) -> Any:
    return encode_response(request, answer, requested_outputs(request, SUMS))


def test_answers_are_raw_and_carry_the_versions_and_the_id() -> None:
    response = answered(request_of(id="7"), Answer(12, SCORES))

    assert (response.model_name, response.model_version, response.id) == ("m", "12", "7")
    assert [(out.name, out.datatype, list(out.shape)) for out in response.outputs] == [
        ("scores", "FP32", [2, 2])
    ]
    assert np.frombuffer(response.raw_output_contents[0], "<f4").tolist() == [0.25, 0.75, 1.0, 0.0]
    assert not response.outputs[0].HasField("contents")
    assert response.parameters["weights_version"].int64_param == 12
    assert answered(request_of()).id == ""


def test_outputs_are_answered_in_the_order_they_were_asked_for() -> None:
    response = answered(request_of("label", "member_scores", "scores", "entropy", "disagreement"))

    assert [(out.name, out.datatype, list(out.shape)) for out in response.outputs] == [
        ("label", "BYTES", [2, 1]),
        ("member_scores", "FP32", [2, 2, 2]),
        ("scores", "FP32", [2, 2]),
        ("entropy", "FP32", [2, 1]),
        ("disagreement", "FP32", [2, 1]),
    ]
    raw = response.raw_output_contents
    assert raw[0] == b"\x03\0\0\0yes\x02\0\0\0no"
    np.testing.assert_array_equal(
        np.frombuffer(raw[1], "<f4").reshape(2, 2, 2), [[SURE[0], UNSURE[0]], [SURE[1], UNSURE[1]]]
    )
    assert response.outputs[1].parameters["members"].string_param == "sure,unsure"
    np.testing.assert_allclose(np.frombuffer(raw[3], "<f4"), [H, H], rtol=1e-6)
    # All of it is within the members in the first row, and all of it between them in the second.
    np.testing.assert_allclose(np.frombuffer(raw[4], "<f4"), [0, H], rtol=1e-6)


def test_disagreement_is_never_below_zero() -> None:
    same = np.array([[0.1, 0.9]], np.float32)
    weights = {"a": 0.1, "b": 0.2, "c": 0.7}

    nats = OPTIONAL["disagreement"](Answer(1, same, dict.fromkeys("abc", same), weights), SUMS)

    assert 0 <= nats.item() < 1e-6


@pytest.mark.parametrize(
    ("outputs", "members"),
    [
        ((), False),
        (("scores", "label", "entropy"), False),
        (("disagreement",), True),
        (("scores", "member_scores"), True),
    ],
)
def test_only_two_outputs_need_the_members(outputs: tuple[str, ...], members: bool) -> None:
    assert wants_members(request_of(*outputs)) is members


def test_classification_names_the_first_classes_best_first() -> None:
    request = request_of("scores")
    request.outputs[0].parameters["classification"].int64_param = 5

    response = answered(request, Answer(3, SCORES))

    assert (response.outputs[0].datatype, list(response.outputs[0].shape)) == ("BYTES", [2, 2])
    texts = [b"0.750000:1:yes", b"0.250000:0:no", b"1.000000:0:no", b"0.000000:1:yes"]
    assert response.raw_output_contents[0] == b"".join(len(t).to_bytes(4, "little") + t for t in texts)


@pytest.mark.parametrize("value", [{"int64_param": 0}, {"int64_param": -1}, {"string_param": "all"}])
def test_a_classification_of_no_classes_is_refused(value: dict[str, Any]) -> None:
    request = request_of("scores", id="7")
    request.outputs[0].parameters["classification"].MergeFrom(
        message_class("inference.InferParameter")(**value)
    )

    with pytest.raises(InvalidRequestError, match=r"^\[request id: 7\] parameter 'classification' of output"):
        requested_outputs(request, SUMS)


def test_an_output_in_shared_memory_is_refused() -> None:
    request = request_of("scores")
    request.outputs[0].parameters["shared_memory_region"].string_param = "a"

    with pytest.raises(InvalidRequestError, match="shared memory is not offered: leave parameter"):
        requested_outputs(request, SUMS)
