"""The stock tritonclient, in its own environment, against a real server over models of known scores."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from ensemble.signature import TensorSpec
from server.telemetry.statistics import BatchTimes, Statistics
from server.wire.gate import Gate
from server.wire.health import Health
from server.wire.oip import Oip
from server.wire.oip_management import OipManagement
from tests.conformance.triton_answers import (
    ENSEMBLE_CONFIG,
    ERRORS,
    FAILURES,
    REFUSED,
    UNAVAILABLE,
    UNKNOWN,
    X_SCORES,
    X,
)
from tests.support.bindings import Binding
from tests.support.clients import run_triton
from tests.support.models import FakeModels, FakeRepository, info_of, infos
from tests.support.observers import Recorder


@asynccontextmanager
async def served(
    binding: Binding, models: FakeModels, gate: Gate | None = None, *, model_control: bool = True
) -> AsyncIterator[tuple[str, Any, Recorder]]:
    """A real server on a free port: its address, itself, and what its observer was told."""
    observer = Recorder()
    statistics = Statistics()
    statistics.scored("sums", 3, BatchTimes(5, [0.5, 0.25], 0.001, 0.01, 0.002, {"first": 0.008}))
    management = OipManagement(models, statistics, FakeRepository(), model_control=model_control)
    methods = [*Oip(models).methods(), *management.methods()]
    async with binding.serve(methods, Health(), observer=observer, gate=gate) as (transport, address):
        yield address, transport, observer


async def test_the_sync_client_gets_every_answer(binding: Binding) -> None:
    async with served(binding, FakeModels()) as (address, _, observer):
        answers = await run_triton("triton_sync.py", address)

    getters = answers["getters"]
    assert {key: value for key, value in getters.items() if isinstance(value, bool)} == {
        "live": True,
        "ready": True,
        "model ready": True,
        "version ready": True,
        "loading ready": False,
    }
    assert (getters["server"]["name"], getters["server"]["extensions"]) == (
        "unisono",
        [
            "binary_tensor_data",
            "classification",
            "model_configuration",
            "model_repository",
            "parameters",
            "statistics",
        ],
    )
    assert getters["model"] == {
        "name": "sums",
        "versions": ["2", "3"],
        "platform": "ensemble",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": ["-1", "4"]}],
        "outputs": [{"name": "scores", "datatype": "FP32", "shape": ["-1", "2"]}],
    }
    assert [tensor["name"] for tensor in getters["model version"]["inputs"]] == ["a", "b"]
    assert answers["inference"] == {
        "raw": X,
        "raw response": ["sums", "3", ""],
        "asked": X,
        "asked response": ["sums", "2", "a 7"],
        "gzip": X,
        "member": X,
        "pair": {"dtype": "float32", "rows": [[12.0, 24.0], [22.0, 44.0]]},
        "8 MB": {"dtype": "float32", "rows": [[2097152.0, 4194304.0]]},
    }
    numbers = ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"]
    assert answers["dtypes"] == {
        **{name: [[4.0, 8.0]] for name in [*numbers, "FP16", "FP32", "FP64", "BF16", "BYTES"]},
        "BOOL": [[1.0, 2.0]],
    }
    typed = ["INT8", "INT32", "INT64", "UINT16", "UINT64", "FP32", "FP64", "BYTES"]
    assert answers["typed"] == {**{name: [[4.0, 8.0]] for name in typed}, "BOOL": [[1.0, 2.0]]}
    assert {call["code"] for _, _, call in observer.calls} == {"OK"}


async def test_fifty_asyncio_callers_each_get_their_own_rows(binding: Binding) -> None:
    async with served(binding, FakeModels()) as (address, _, _observer):
        answers = await run_triton("triton_aio.py", address)

    assert (answers["live"], answers["ready"], answers["model ready"]) == (True, True, True)
    assert (answers["server"]["name"], answers["model"]["name"]) == ("unisono", "sums")
    assert answers["infer"] == [
        [str(caller), [[4.0 * caller, 8.0 * caller]] * (caller % 8 + 1)] for caller in range(50)
    ]


async def test_every_mistake_brings_the_code_and_text_that_clients_know(binding: Binding) -> None:
    empty = replace(info_of("empty", TensorSpec("x", "float32", (4,))), versions=())
    models = FakeModels({**infos(), "empty": empty}, failures=FAILURES)
    async with served(binding, models) as (address, _, observer):
        answers = await run_triton("triton_errors.py", address)

    assert {name: code for name, (code, _) in answers.items()} == {
        name: code for name, (code, _) in ERRORS.items()
    }
    for name, (_, text) in answers.items():
        assert text.startswith(ERRORS[name][1]), name
    # Calls of methods that we don't have are gRPC's to answer; all others are counted, once.
    assert len(observer.calls) == len(ERRORS) - 1


async def test_the_sync_client_gets_what_triton_adds(binding: Binding) -> None:
    async with served(binding, FakeModels()) as (address, _, _observer):
        answers = await run_triton("triton_additions.py", address)

    about = answers["models"]
    assert about["config"] == ENSEMBLE_CONFIG
    member = about["member's config"]
    assert (member["platform"], member["backend"]) == ("onnxruntime_onnx", "onnxruntime")
    [statistics] = about["statistics"]
    assert (statistics["inference_count"], statistics["execution_count"]) == ("5", "1")
    assert statistics["inference_stats"]["compute_infer"] == {"count": "2", "ns": "20000000"}
    assert "sums.first" in about["all statistics"]
    assert about["index"] == [
        {"name": "digits", "version": "3", "state": "READY"},
        {"name": "letters", "version": "1", "state": "UNAVAILABLE", "reason": "unloaded"},
    ]
    assert about["trace"] == {"trace_level": {"value": ["OFF"]}}
    assert about["log"]["log_error"] == {"bool_param": True}
    assert (about["load"], about["unload"]) == (None, None)


async def test_the_sync_client_gets_optional_outputs_and_classifications(binding: Binding) -> None:
    async with served(binding, FakeModels()) as (address, _, _observer):
        answers = await run_triton("triton_additions.py", address)

    assert answers["outputs"] == {
        "shapes": {
            "scores": [2, 2],
            "label": [2, 1],
            "entropy": [2, 1],
            "disagreement": [2, 1],
            "member_scores": [2, 2, 2],
        },
        "labels": ["yes", "yes"],
        "members": [[[10.0, 20.0], [20.0, 10.0]], [[26.0, 52.0], [52.0, 26.0]]],
        "weights version": 3,
        "top": ["20.000000:1:yes", "52.000000:1:yes"],
    }


async def test_the_sync_client_streams_and_one_bad_request_harms_no_other(binding: Binding) -> None:
    async with served(binding, FakeModels()) as (address, _, _observer):
        answers = await run_triton("triton_additions.py", address)

    assert answers["stream"] == [
        ["0", X_SCORES, True],
        f"{UNKNOWN}'x' is not found",
        ["2", [[18.0, 36.0], [34.0, 68.0]], True],
        ["3", [[22.0, 44.0], [38.0, 76.0]], True],
    ]


async def test_what_is_not_offered_is_refused_in_the_words_that_clients_know(binding: Binding) -> None:
    async with served(binding, FakeModels()) as (address, _, _observer):
        answers = await run_triton("triton_additions.py", address)

    assert {name: code for name, (code, _) in answers["refused"].items()} == {
        name: code for name, (code, _) in REFUSED.items()
    }
    for name, (_, text) in answers["refused"].items():
        assert text.startswith(REFUSED[name][1]), name


async def test_a_draining_server_says_so(binding: Binding) -> None:
    async with served(binding, FakeModels()) as (address, transport, _):
        transport.drain()
        answers = await run_triton("triton_errors.py", address, "unknown model")

    assert answers == {
        "unknown model": [
            UNAVAILABLE,
            "GRPC server is shutting down and has stopped accepting new requests.",
        ]
    }


@pytest.mark.parametrize("first", ["ours", "theirs"])
async def test_our_messages_are_the_stock_ones_and_both_live_in_one_interpreter(first: str) -> None:
    answers = await run_triton("one_interpreter.py", first)

    assert answers == {"messages": 69, "enums": 1, "methods": 14, "differences": {}}
