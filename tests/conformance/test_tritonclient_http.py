"""The stock HTTP client, in its own environment, against a real server over models of known scores."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server.telemetry.statistics import BatchTimes, Statistics
from server.wire.oip import Oip
from server.wire.oip_management import OipManagement
from server.wire.rest.offer import http_transport
from server.wire.transport_options import TransportOptions
from tests.conformance.triton_answers import FAILURES, UNKNOWN, X
from tests.support.clients import run_triton
from tests.support.models import FakeModels, FakeRepository
from tests.support.observers import Recorder

NUMBERS = ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FP32", "FP64"]
REFUSED = {
    "unknown model": ("404", f"{UNKNOWN}'x' is not found"),
    "unknown metadata": ("404", f"{UNKNOWN}'x' is not found"),
    "unknown version": ("404", f"{UNKNOWN}'sums' version 9 is not found"),
    "version loading": ("503", f"{UNKNOWN}'sums' version 4 is not at ready state"),
    "version not a number": ("400", "failed to get model version from specified version string 'abc'"),
    "wrong dtype": (
        "400",
        "[request id: <id_unknown>] inference input 'x' data-type is 'FP64', but model 'sums' expects 'FP32'",
    ),
    "wrong shape": (
        "400",
        "[request id: 7] unexpected shape for input 'x' for model 'sums'. Expected [-1,4]",
    ),
    "unknown statistics": ("400", "requested model 'x' is not available"),
    "queue full": ("503", "Exceeds maximum queue size"),
    "queue timeout": ("503", "Request timeout expired"),
    "member failed": ("500", "in ensemble 'takes_INT32', member 'first' failed"),
    "unexpected": ("500", "internal error; see the server's log"),
    "load from the wire": ("400", "failed to load 'digits', models and configs are not taken from the wire"),
    "trace change": ("501", "trace settings can't be changed over the wire"),
    "log change": ("501", "log settings can't be changed over the wire"),
    "shared memory": ("501", "shared memory is not offered"),
    "shared memory status": ("501", "shared memory is not offered"),
    "cuda memory": ("501", "shared memory is not offered"),
}


@asynccontextmanager
async def served(models: FakeModels) -> AsyncIterator[tuple[str, Recorder]]:
    """The address of a real server on a free port, and what its observer was told."""
    observer, statistics = Recorder(), Statistics()
    statistics.scored("sums", 3, BatchTimes(5, [0.5, 0.25], 0.001, 0.01, 0.002, {"first": 0.008}))
    management = OipManagement(models, statistics, FakeRepository(), model_control=True)
    transport = http_transport(
        [*Oip(models).methods(), *management.methods()],
        lambda _accept: (b"", "text/plain"),
        observer=observer,
        options=TransportOptions(address="127.0.0.1:0"),
        max_json_bytes=2**20,
    )
    port = await transport.start()
    try:
        yield f"127.0.0.1:{port}", observer
    finally:
        await transport.stop(0)


async def test_the_client_gets_every_answer_in_both_encodings() -> None:
    async with served(FakeModels()) as (address, observer):
        answers = await run_triton("triton_http.py", address)

    getters = answers["getters"]
    assert {key: value for key, value in getters.items() if isinstance(value, bool)} == {
        "live": True,
        "ready": True,
        "model ready": True,
        "version ready": True,
        "loading ready": False,
        "unknown ready": False,
    }
    assert getters["model"] == {
        "name": "sums",
        "versions": ["2", "3"],
        "platform": "ensemble",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 2]}],
    }
    assert [tensor["name"] for tensor in getters["model version"]["inputs"]] == ["a", "b"]
    config = getters["config"]
    assert (config["platform"], config["max_batch_size"], config["input"][0]["dims"]) == ("ensemble", 8, [4])
    assert config["ensemble_scheduling"]["step"][0]["model_name"] == "sums.first"
    [statistics] = getters["statistics"]["model_stats"]
    assert (statistics["inference_count"], statistics["execution_count"]) == (5, 1)
    assert statistics["inference_stats"]["compute_infer"] == {"count": 2, "ns": 20000000}
    assert "sums.first" in getters["all statistics"]
    assert getters["index"] == [
        {"name": "digits", "version": "3", "state": "READY", "reason": ""},
        {"name": "letters", "version": "1", "state": "UNAVAILABLE", "reason": "unloaded"},
    ]
    assert getters["trace"] == getters["model's trace"] == {"trace_level": ["OFF"]}
    assert getters["log"]["log_error"] is True
    assert (getters["load"], getters["unload"]) == (None, None)
    assert answers["inference"] == {
        **dict.fromkeys(
            ("binary", "json", "json to binary", "binary to json", "asked", "member", "async"), X
        ),
        "asked response": ["sums", "2", "a 7"],
        "weights version": 2,
        "both": {"dtype": "float32", "rows": [[12.0, 24.0], [22.0, 44.0]]},
        "8 MB": {"dtype": "float32", "rows": [[2097152.0, 4194304.0]]},
        **{
            f"{way}_compression_algorithm {name}": X
            for way in ("request", "response")
            for name in ("gzip", "deflate")
        },
        "top": ["20.000000:1:yes", "52.000000:1:yes"],
        "labels": ["yes", "yes"],
        "shapes": {
            "label": [2, 1],
            "entropy": [2, 1],
            "disagreement": [2, 1],
            "member_scores": [2, 2, 2],
        },
    }
    assert answers["dtypes"] == {
        **{name: [[[4.0, 8.0]]] * 2 for name in [*NUMBERS, "BYTES"]},
        "BOOL": [[[1.0, 2.0]]] * 2,
        "FP16": [[[4.0, 8.0]]],
        "BF16": [[[4.0, 8.0]]],
    }
    asked = [call["method"] for _, _, call in observer.calls if call["code"] == "OK"]
    assert (asked.count("ModelInfer"), asked.count("RepositoryModelLoad")) == (41, 1)


async def test_fifty_asyncio_callers_each_get_their_own_rows() -> None:
    async with served(FakeModels()) as (address, _):
        answers = await run_triton("triton_http_aio.py", address)

    assert (answers["live"], answers["ready"], answers["model ready"]) == (True, True, True)
    assert (answers["server"]["name"], answers["model"]["name"]) == ("unisono", "sums")
    assert answers["infer"] == [
        [str(caller), [[4.0 * caller, 8.0 * caller]] * (caller % 8 + 1)] for caller in range(50)
    ]


async def test_every_mistake_brings_the_status_and_text_that_clients_know() -> None:
    async with served(FakeModels(failures=FAILURES)) as (address, observer):
        answers = await run_triton("triton_http.py", address, "mistakes")

    assert {name: status for name, (status, _) in answers.items()} == {
        name: status for name, (status, _) in REFUSED.items()
    }
    for name, (_, text) in answers.items():
        assert text.startswith(REFUSED[name][1]), name
    assert len(observer.calls) == len(REFUSED)
