import asyncio
import gzip
import json
import logging
import subprocess
import sys
import threading
from typing import Any

import pytest

from ensemble.errors import UnavailableError
from ensemble.member import Rows, Scores
from server.telemetry.statistics import Statistics
from server.wire.admission import Admission, AdmissionLimits
from server.wire.calls import SHUTTING_DOWN
from server.wire.gate import Gate
from server.wire.oip import Oip
from server.wire.oip_management import OipManagement
from server.wire.rest import oip
from server.wire.rest.inference import read_inference
from server.wire.rest.resource import Asked, Resource, Write
from server.wire.rest.transport import HttpTransport
from server.wire.transport_options import TransportOptions
from tests.server.wire.rest.world import BODY, INFER, world_of
from tests.support.http_client import ask
from tests.support.models import FakeModels, FakeRepository, sums
from tests.support.observers import Recorder


async def test_a_call_is_answered_and_counted_once() -> None:
    async with world_of() as world:
        told = await world.ask(INFER, BODY)

    assert (told.status, told.headers["content-type"]) == (200, "application/json")
    assert told.json["outputs"][0]["data"] == [10.0, 20.0]
    [(_, _, counted)] = [call for call in world.told.calls if call[0] == "handled"]
    assert (counted["method"], counted["model"], counted["version"], counted["code"]) == (
        "ModelInfer",
        "sums",
        "3",
        "OK",
    )


MISTAKES = [
    ("/v2/nothing", None, 404, "not found"),
    (INFER, None, 405, "method not allowed"),
    ("/v2/models/x", None, 404, "Request for unknown model: 'x' is not found"),
    (INFER, {}, 400, "[request id: <id_unknown>] expected 1 inputs but got 0 inputs for model 'sums'"),
    ("/v2/repository/other/index", {}, 501, "'repository_name' specification is not supported"),
    ("/v2/repository/models/digits/load", {"parameters": {"a": [1]}}, 400, "failed to parse the request"),
    (
        "/v2/repository/models/digits/load",
        {"parameters": {"a": 2**64}},
        400,
        "failed to parse the request",
    ),
    ("/v2/trace/setting", {"trace_level": "OFF"}, 501, "trace settings can't be changed over the wire"),
    ("/v2/trace/setting", {"trace_level": None}, 501, "trace settings can't be changed over the wire"),
    ("/v2/models/x/trace/setting", None, 404, "Request for unknown model: 'x' is not found"),
    ("/v2/systemsharedmemory/status", None, 501, "shared memory is not offered"),
    ("/v2/models/sums/versions/4/ready", None, 400, "not ready"),
]


async def test_what_cannot_be_answered_is_an_error_as_clients_know_it() -> None:
    async with world_of() as world:
        for path, body, status, text in MISTAKES:
            told = await world.ask(path, body)

            assert (told.status, told.headers["content-type"]) == (status, "application/json"), path
            assert told.json["error"].startswith(text), path


async def test_only_what_is_ready_is_listed_for_those_who_want_no_more() -> None:
    async with world_of() as world:
        told = await world.ask("/v2/repository/index", {"ready": True})

    assert [model["name"] for model in told.json] == ["digits"]


async def test_a_long_answer_is_shrunk_for_who_asks_for_that() -> None:
    async with world_of() as world:
        told = await world.ask("/v2/models/stats", headers={"Accept-Encoding": "gzip"})

    assert told.headers["content-encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(told.body))["model_stats"]) == len(world.models.names())


async def test_beyond_the_limit_calls_are_told_when_to_come_again_and_probes_are_answered() -> None:
    gate = Gate(admission=Admission(AdmissionLimits(calls=1)))
    async with world_of(gate) as world:
        world.go_on.clear()
        running = asyncio.create_task(world.ask(INFER, BODY))
        await world.began.wait()
        refused = await world.ask(INFER, BODY)
        beside = [
            (await world.ask(path)).status for path in ("/v2/health/live", "/v2/health/ready", "/metrics")
        ]
        world.go_on.set()

        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert refused.json["error"].startswith("server is at its limit")
        assert beside == [200, 200, 200]
        assert (await running).status == 200


async def test_grpc_and_http_share_the_limit() -> None:
    admission = Admission(AdmissionLimits(calls=1))
    with admission.enter():
        async with world_of(Gate(admission=admission)) as world:
            assert (await world.ask(INFER, BODY)).status == 429


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (bytes(5000), {}),
        (gzip.compress(bytes(5000), mtime=0), {"Content-Encoding": "gzip"}),
        (b"", {"Content-Length": "9" * 30}),
        (b"", {"Content-Length": "4097"}),
    ],
    ids=["large", "bomb", "declared beyond all numbers", "declared"],
)
async def test_a_body_that_is_too_large_is_refused(body: bytes, headers: dict[str, str]) -> None:
    async with world_of(max_message_bytes=4096) as world:
        if body:
            told = await world.ask(INFER, body, headers=headers)
            assert told.status == 413
            assert told.json["error"].startswith("body larger than max")
        else:
            # It never comes: the answer doesn't wait for it.
            reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
            length = headers["Content-Length"]
            writer.write(f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n".encode())
            assert (await reader.readline())[:12] in (b"HTTP/1.1 413", b"HTTP/1.1 400")
            writer.close()


async def test_a_body_in_pieces_without_a_length_is_bounded_too() -> None:
    async with world_of(max_message_bytes=4096) as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(f"POST {INFER} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        writer.write((b"800\r\n" + bytes(2048) + b"\r\n") * 3)
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        writer.close()


async def test_json_that_takes_long_to_read_is_read_beside_the_loop() -> None:
    readers = list[str]()
    [infer] = [method for method in Oip(FakeModels()).methods() if method.name == "ModelInfer"]

    def read(asked: Asked) -> tuple[Any, Write]:
        readers.append(threading.current_thread().name)
        return read_inference(asked)

    transport = HttpTransport(
        [Resource("POST", "/v2/models/{model}/infer", infer, read)],
        observer=Recorder(),
        options=TransportOptions("127.0.0.1:0"),
        max_json_bytes=2**20,
    )
    port = await transport.start()
    large = {"id": "x" * 2**19, **BODY}
    told = [await ask(port, INFER, body) for body in (BODY, large, {"inputs": [{"name": "y" * 2**19}]})]
    await transport.stop(5)

    assert [each.status for each in told] == [200, 200, 400]
    assert told[1].json["outputs"] == told[0].json["outputs"]
    assert [name.startswith("json") for name in readers] == [False, True, True]


async def test_an_unknown_encoding_is_refused() -> None:
    async with world_of() as world:
        told = await world.ask(INFER, BODY, headers={"Content-Encoding": "br"})

    assert (told.status, told.json) == (415, {"error": "content-encoding must be gzip, deflate or none"})


async def test_json_that_is_too_long_is_refused_and_tensors_after_it_are_not() -> None:
    wide = {"name": "x", "shape": [1, 2**16], "datatype": "FP32"}
    binary = json.dumps({"inputs": [wide | {"parameters": {"binary_data_size": 2**18}}]}).encode()
    async with world_of() as world:
        long = await world.ask("/v2/models/wide/infer", {"inputs": [wide | {"data": [0.5] * 2**16}]})
        told = await world.ask(
            "/v2/models/wide/infer",
            binary + bytes(2**18),
            headers={"Inference-Header-Content-Length": str(len(binary))},
        )

    assert (long.status, told.status) == (413, 200)
    assert long.json["error"].startswith("JSON larger than max")


async def test_a_caller_who_never_sends_the_body_is_told_at_the_deadline() -> None:
    async with world_of(max_call_secs=0.05) as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 504")
        writer.close()

    assert world.codes() == [("ModelInfer", "DEADLINE_EXCEEDED")]


@pytest.mark.parametrize("sent", [json.dumps(BODY)[:20], json.dumps(BODY)], ids=["while sending", "after"])
async def test_a_caller_who_goes_away_has_the_call_cancelled(sent: str) -> None:
    async with world_of() as world:
        world.go_on.clear()
        _, writer = await asyncio.open_connection("127.0.0.1", world.port)
        length = len(json.dumps(BODY))
        writer.write(f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{sent}".encode())
        if len(sent) == length:
            await world.began.wait()
        else:
            await writer.drain()
            while not world.transport.calls.running:
                await asyncio.sleep(0.001)
        writer.close()
        async with asyncio.timeout(10):
            while not world.codes():
                await asyncio.sleep(0.001)

    assert world.codes() == [("ModelInfer", "CANCELLED")]


async def test_in_a_drain_what_runs_is_answered_and_what_comes_is_refused() -> None:
    async with world_of() as world:
        world.go_on.clear()
        running = asyncio.create_task(world.ask(INFER, BODY))
        await world.began.wait()
        stopping = asyncio.create_task(world.transport.stop(10))
        await asyncio.sleep(0)
        late = await world.ask(INFER, BODY)
        alive = await world.ask("/v2/health/live")
        world.go_on.set()
        await stopping

        assert (late.status, late.json) == (503, {"error": SHUTTING_DOWN})
        assert alive.status == 200
        assert (await running).status == 200
        with pytest.raises(ConnectionRefusedError):
            await world.ask("/v2")


async def test_what_still_runs_after_the_grace_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "unisono.wire")
    async with world_of() as world:
        world.go_on.clear()
        running = asyncio.create_task(world.ask(INFER, BODY))
        await world.began.wait()
        await world.transport.stop(0.01)

        assert ((await running).status, (await running).json) == (503, {"error": SHUTTING_DOWN})
    assert world.codes() == [("ModelInfer", "CANCELLED")]


async def test_a_port_in_use_is_said_and_one_that_never_started_stops() -> None:
    async with world_of() as world:
        other = HttpTransport(
            [], observer=Recorder(), options=TransportOptions(f"127.0.0.1:{world.port}"), max_json_bytes=1
        )
        with pytest.raises(UnavailableError, match=f"can't listen on 127.0.0.1:{world.port}"):
            await other.start()
        await other.stop(1)


async def test_an_error_of_our_own_keeps_its_text_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_rows: Rows) -> Scores:
        raise RuntimeError("/etc/secret")

    async with world_of() as world:
        world.models.run = fail
        told = await world.ask(INFER, BODY)
        world.models.run = sums
        assert (await world.ask(INFER, BODY)).status == 200

    assert (told.status, told.json) == (500, {"error": "internal error; see the server's log"})
    assert "/etc/secret" in caplog.text


def test_a_server_without_it_imports_nothing_of_it() -> None:
    names = ("uvicorn", "starlette", "orjson", "h11")
    program = f"import sys, server.app; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_method_but_the_stream_has_a_path_and_no_two_resources_the_same() -> None:
    models = FakeModels()
    methods = [
        *Oip(models).methods(),
        *OipManagement(models, Statistics(), FakeRepository()).methods(),
    ]
    offered = oip.resources(methods)

    places = [(each.verb, each.path) for each in offered]
    assert len(places) == len(set(places))
    names = {method.name for method in methods}
    assert names - {each.method.name for each in offered} == {"ModelStreamInfer"}
