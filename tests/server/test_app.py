import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from ensemble.errors import InvalidRequestError, UnavailableError
from ensemble.publishing.publish import PublishOptions, publish
from model_store.errors import StoreUnavailableError
from model_store.store import Store
from server.app import running, serve
from server.config import ServeSettings
from server.wire.client import Client
from server.wire.messages import message_class
from tests.support.http_client import ask
from tests.support.onnx_models import write_linear

SETTINGS = ServeSettings(grpc_port=0, metrics_port=0, poll_interval_secs=0.02)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with the ensemble `linear` of two members, `a` and `b`."""
    for seed, name in enumerate("ab"):
        write_linear(tmp_path / f"{name}.onnx", seed=seed)
    store = Store.open(str(tmp_path / "store"))
    publish(store, "linear", {name: tmp_path / f"{name}.onnx" for name in "ab"}, PublishOptions())
    return store


@asynccontextmanager
async def client_of(store: Store, settings: ServeSettings = SETTINGS) -> AsyncIterator[Client]:
    async with running(store, settings) as ports:
        with Client(f"127.0.0.1:{ports.grpc}") as client:
            yield client


async def told(wire: Any, method: str, **fields: Any) -> Any:
    """Call one method of the Open Inference Protocol."""
    request = message_class(f"inference.{method}Request")(**fields)
    path, response = f"/inference.GRPCInferenceService/{method}", message_class(f"inference.{method}Response")
    call = wire.unary_unary(path, type(request).SerializeToString, response.FromString)
    return await call(request, timeout=10)


async def test_the_whole_server_answers_and_tells_its_health(store: Store) -> None:
    async with client_of(store) as client:
        for name in ("", "linear", "linear.a", "linear.b"):
            assert await asyncio.to_thread(client.healthy, name)
        rows = {"x": np.ones((2, 4), np.float32)}
        answer = await asyncio.to_thread(client.infer, "linear", rows)
        parts = [(await asyncio.to_thread(client.infer, f"linear.{m}", rows)).scores for m in "ab"]
    assert answer.version == 1
    mean = (parts[0].astype(np.float64) + parts[1].astype(np.float64)) / 2
    np.testing.assert_array_equal(answer.scores, mean.astype(np.float32))


async def test_a_store_that_is_not_there_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="doesn't exist; publish into it first"):
        async with client_of(Store.open(str(tmp_path / "nowhere"))):
            pass


async def test_a_server_of_an_empty_store_gets_ready_when_something_is_published(
    tmp_path: Path, store: Store
) -> None:
    (tmp_path / "late").mkdir()
    late = Store.open(str(tmp_path / "late"))
    async with client_of(late) as client:
        assert not await asyncio.to_thread(client.healthy)
        await asyncio.to_thread(publish, late, "linear", {"a": tmp_path / "a.onnx"}, PublishOptions())
        async with asyncio.timeout(20):
            while not await asyncio.to_thread(client.healthy):
                await asyncio.sleep(0.02)
    assert store.current("linear") == late.current("linear") == 1


async def test_only_the_ensembles_that_are_named_are_served(tmp_path: Path, store: Store) -> None:
    publish(store, "other", {"a": tmp_path / "a.onnx"}, PublishOptions())
    settings = ServeSettings(grpc_port=0, metrics_port=0, ensemble=("other",))
    async with client_of(store, settings) as client:
        assert await asyncio.to_thread(client.healthy, "other")
        with pytest.raises(InvalidRequestError, match="unknown service 'linear'"):
            await asyncio.to_thread(client.healthy, "linear")


async def test_a_grpc_port_in_use_is_said_plainly(store: Store) -> None:
    async with running(store, SETTINGS) as ports:
        settings = ServeSettings(grpc_port=ports.grpc, metrics_port=0)
        with pytest.raises(UnavailableError, match=f"can't listen on 127.0.0.1:{ports.grpc}"):
            async with client_of(store, settings):
                pass


async def test_a_metrics_port_in_use_is_said(store: Store) -> None:
    async with running(store, SETTINGS) as ports:
        settings = ServeSettings(grpc_port=0, metrics_port=ports.metrics)
        with pytest.raises(UnavailableError, match=f"can't serve metrics on 127.0.0.1:{ports.metrics}"):
            async with client_of(store, settings):
                pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_serving_with_a_drain(
    store: Store, number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "unisono"):
        task = asyncio.create_task(serve(store, SETTINGS))
        async with asyncio.timeout(20):
            while not any(message.startswith("ready in") for message in caplog.messages):
                await asyncio.sleep(0.01)
            signal.raise_signal(number)
            await task
    assert [message.split(":")[0] for message in caplog.messages[-2:]] == ["draining", "stopped"]


async def test_http_answers_with_the_same_models_and_metrics_where_that_is_wanted(store: Store) -> None:
    body = {"inputs": [{"name": "x", "shape": [2, 4], "datatype": "FP32", "data": [1.0] * 8}]}
    async with running(store, replace(SETTINGS, http_port=0)) as ports:
        assert ports.http is not None
        told = await ask(ports.http, "/v2/models/linear/infer", body)
        with Client(f"127.0.0.1:{ports.grpc}") as client:
            rows = {"x": np.ones((2, 4), np.float32)}
            answer = await asyncio.to_thread(client.infer, "linear", rows)
        metrics = (await ask(ports.http, "/metrics")).body.decode()
        ready = await ask(ports.http, "/v2/health/ready")

    assert (told.json["model_version"], ready.status) == ("1", 200)
    assert np.float32(told.json["outputs"][0]["data"]).reshape(answer.scores.shape).tolist() == (
        answer.scores.tolist()
    )
    counted = 'unisono_requests_total{code="OK",method="ModelInfer",model="linear",version="1"} 2.0'
    assert counted in metrics


async def test_without_a_port_there_is_no_http(store: Store) -> None:
    async with running(store, SETTINGS) as ports:
        assert ports.http is None


async def test_an_ensemble_is_unloaded_and_loaded_over_the_wire_where_that_is_allowed(store: Store) -> None:
    settings = ServeSettings(grpc_port=0, metrics_port=0, poll_interval_secs=0.02, enable_model_control=True)
    async with (
        running(store, settings) as ports,
        grpc.aio.insecure_channel(f"127.0.0.1:{ports.grpc}") as wire,
    ):
        with Client(f"127.0.0.1:{ports.grpc}") as client:
            await told(wire, "RepositoryModelUnload", model_name="linear")
            assert [(m.name, m.state) for m in (await told(wire, "RepositoryIndex")).models] == [
                ("linear", "UNAVAILABLE")
            ]
            assert not await asyncio.to_thread(client.healthy)
            assert not await asyncio.to_thread(client.healthy, "linear")
            await told(wire, "RepositoryModelLoad", model_name="linear")
            assert [m.name for m in (await told(wire, "RepositoryIndex", ready=True)).models] == [
                "linear", "linear.a", "linear.b",
            ]  # fmt: skip
            assert await asyncio.to_thread(client.healthy)


async def test_statistics_count_what_the_whole_server_did(store: Store) -> None:
    rows = {"x": np.ones((2, 4), np.float32)}
    async with (
        running(store, SETTINGS) as ports,
        grpc.aio.insecure_channel(f"127.0.0.1:{ports.grpc}") as wire,
    ):
        with Client(f"127.0.0.1:{ports.grpc}") as client:
            for name in ("linear", "linear", "linear.b"):
                await asyncio.to_thread(client.infer, name, rows)
        figures = {each.name: each for each in (await told(wire, "ModelStatistics")).model_stats}

    counts = {
        name: (each.inference_count, each.execution_count, each.inference_stats.success.count)
        for name, each in figures.items()
    }
    assert counts == {"linear": (4, 2, 2), "linear.a": (4, 2, 2), "linear.b": (6, 3, 3)}
    whole = figures["linear"].inference_stats
    assert (
        whole.success.ns > whole.compute_infer.ns > figures["linear.a"].inference_stats.compute_infer.ns > 0
    )


@pytest.mark.parametrize(("wanted", "code"), [(True, "OK"), (False, "UNIMPLEMENTED")])
@pytest.mark.parametrize("release", ["v1", "v1alpha"])
async def test_the_services_are_described_only_where_that_is_wanted(
    store: Store, wanted: bool, code: str, release: str
) -> None:
    settings = ServeSettings(grpc_port=0, metrics_port=0, enable_reflection=wanted)
    async with (
        running(store, settings) as ports,
        grpc.aio.insecure_channel(f"127.0.0.1:{ports.grpc}") as wire,
    ):
        call = wire.stream_stream(f"/grpc.reflection.{release}.ServerReflection/ServerReflectionInfo")()
        await call.done_writing()
        assert (await call.code()).name == code
