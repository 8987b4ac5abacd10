import asyncio
from importlib import metadata
from typing import Any

import numpy as np
import pytest

from ensemble.errors import DeadlineError, InvalidRequestError, ModelNotFoundError, UnavailableError
from server.wire.call import Call
from server.wire.messages import message_class
from server.wire.oip import Oip, installed_version, stream_refusal
from tests.support import clock
from tests.support.models import FakeModels


def message(kind: str, **fields: Any) -> Any:
    return message_class(f"inference.{kind}")(**fields)


def infer_request(**fields: Any) -> Any:
    request = message("ModelInferRequest", **{"model_name": "sums", **fields})
    request.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    request.raw_input_contents.append(np.array([1, 2, 3, 4], "<f4").tobytes())
    return request


def test_there_are_the_core_methods() -> None:
    methods = Oip(FakeModels()).methods()

    assert [method.name for method in methods] == [
        "ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer",
        "ModelConfig", "ModelStreamInfer",
    ]  # fmt: skip
    assert {method.service for method in methods} == {"inference.GRPCInferenceService"}


async def test_the_server_is_ready_when_its_models_are() -> None:
    request = message("ServerReadyRequest")

    assert (await Oip(FakeModels()).server_ready(request, Call(0))).ready
    assert not (await Oip(FakeModels(failure=OSError())).server_ready(request, Call(0))).ready


async def test_an_unknown_model_is_an_error_and_a_loading_one_is_not_ready() -> None:
    oip = Oip(FakeModels())

    assert (await oip.model_ready(message("ModelReadyRequest", name="sums"), Call(0))).ready
    assert not (await oip.model_ready(message("ModelReadyRequest", name="sums", version="4"), Call(0))).ready
    with pytest.raises(ModelNotFoundError):
        await oip.model_ready(message("ModelReadyRequest", name="x"), Call(0))


async def test_metadata_says_what_a_model_takes_and_gives() -> None:
    answer = await Oip(FakeModels()).model_metadata(message("ModelMetadataRequest", name="pair"), Call(0))

    assert (answer.name, list(answer.versions), answer.platform) == ("pair", ["2", "3"], "ensemble")
    assert [(t.name, t.datatype, [*t.shape]) for t in answer.inputs] == [
        ("a", "FP32", [-1, 2]),
        ("b", "INT64", [-1]),
    ]
    assert [(t.name, t.datatype, [*t.shape]) for t in answer.outputs] == [("scores", "FP32", [-1, 2])]


async def test_a_config_says_how_a_model_is_put_together() -> None:
    call = Call(0)

    answer = await Oip(FakeModels()).model_config(message("ModelConfigRequest", name="sums"), call)

    assert (answer.config.name, answer.config.platform) == ("sums", "ensemble")
    assert (call.model, call.version) == ("sums", "3")


async def test_members_are_asked_for_when_an_output_needs_them() -> None:
    request = infer_request()
    for name in ("scores", "member_scores"):
        request.outputs.add(name=name)

    answer = await Oip(FakeModels()).model_infer(request, Call(asyncio.get_running_loop().time() + 1))

    assert np.frombuffer(answer.raw_output_contents[1], "<f4").tolist() == [10.0, 20.0, 20.0, 10.0]


async def test_an_answer_on_a_stream_says_that_it_is_the_last_one() -> None:
    call = Call(asyncio.get_running_loop().time() + 1)

    answer = await Oip(FakeModels()).model_stream_infer(infer_request(id="7"), call)

    assert (answer.error_message, answer.infer_response.id) == ("", "7")
    assert answer.infer_response.parameters["triton_final_response"].bool_param
    assert np.frombuffer(answer.infer_response.raw_output_contents[0], "<f4").tolist() == [10.0, 20.0]


def test_a_refusal_on_a_stream_says_whose_it_is_if_that_could_be_read() -> None:
    known = stream_refusal(infer_request(id="7"), "full")

    assert (known.error_message, known.infer_response.id, known.infer_response.model_name) == (
        "full",
        "7",
        "sums",
    )
    assert stream_refusal(None, "no message").infer_response.id == ""
    assert known.infer_response.parameters["triton_final_response"].bool_param


async def test_an_answer_carries_the_version_that_answered_and_the_call_hears_of_it() -> None:
    call = Call(asyncio.get_running_loop().time() + 1)

    answer = await Oip(FakeModels()).model_infer(infer_request(id="7"), call)

    assert (answer.model_name, answer.model_version, answer.id) == ("sums", "3", "7")
    assert np.frombuffer(answer.raw_output_contents[0], "<f4").tolist() == [10.0, 20.0]
    assert (call.model, call.version) == ("sums", "3")


async def test_a_name_that_no_model_has_never_reaches_the_metrics() -> None:
    call = Call(asyncio.get_running_loop().time() + 1)

    with pytest.raises(ModelNotFoundError):
        await Oip(FakeModels()).model_infer(infer_request(model_name="made up"), call)

    assert (call.model, call.version) == ("", "")


def test_the_timeout_parameter_shortens_the_deadline() -> None:
    async def main() -> list[float]:
        models = FakeModels()
        for microseconds in (0, 250_000, 20_000_000):
            request = infer_request()
            request.parameters["timeout"].int64_param = microseconds
            await Oip(models).model_infer(request, Call(10.0))
        return models.deadlines

    assert clock.run(main())[0] == [10.0, 0.25, 10.0]


async def test_a_wait_beyond_the_timeout_parameter_is_not_the_calls_deadline() -> None:
    models = FakeModels(failure=DeadlineError("deadline passed while the request was queued"))
    request = infer_request()
    far = Call(asyncio.get_running_loop().time() + 100)

    with pytest.raises(DeadlineError):
        await Oip(models).model_infer(request, far)
    request.parameters["timeout"].int64_param = 5
    with pytest.raises(UnavailableError, match=r"^Request timeout expired$"):
        await Oip(models).model_infer(request, far)


async def test_a_timeout_that_is_no_duration_is_refused() -> None:
    request = infer_request()
    request.parameters["timeout"].string_param = "soon"

    with pytest.raises(InvalidRequestError, match="'timeout' must be a whole number of microseconds"):
        await Oip(FakeModels()).model_infer(request, Call(0))


def test_a_folder_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)

    assert installed_version() == "unknown"
