"""A server whose ensemble misses a member: it answers with the weights that were learned for that day."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ensemble.data.dataset import open_dataset
from ensemble.loading.load import load_servable
from ensemble.refit.run import RefitOptions, refit
from ensemble.signature import Signature
from model_store.store import Store
from server.app import running
from server.config import ServeSettings
from server.lifecycle.retrying import RetryOptions
from server.lifecycle.watcher import WatchOptions
from server.wire.messages import message_class
from tests.support.flowers import NAME, publish_uniform, write_rows
from tests.support.http_client import ask
from tests.support.places import blob_file

SETTINGS = ServeSettings(grpc_port=0, metrics_port=0, poll_interval_secs=0.02)


@pytest.fixture(name="store")
def fixture_store(tmp_path: Path) -> Store:
    """A store whose version 2 was learned: two of three members or more count."""
    store = Store.open(str(tmp_path / "store"))
    publish_uniform(store, tmp_path)
    manifest = store.manifest(NAME)
    data = open_dataset(
        [write_rows(tmp_path / "val.npz")],
        Signature.from_json(manifest.signature),
        label="y",
        classes=manifest.classes,
    )
    refit(store, NAME, data, RefitOptions(force=True, why="a test"))
    return store


def wire_to(port: int) -> Any:
    return grpc.aio.insecure_channel(f"127.0.0.1:{port}")


async def told(wire: Any, rows: np.ndarray) -> Any:
    request = message_class("inference.ModelInferRequest")(model_name=NAME)
    request.inputs.add(name="x", datatype="FP32", shape=rows.shape)
    request.raw_input_contents.append(rows.astype("<f4").tobytes())
    path = "/inference.GRPCInferenceService/ModelInfer"
    response = message_class("inference.ModelInferResponse")
    return await wire.unary_unary(path, type(request).SerializeToString, response.FromString)(
        request, timeout=10
    )


def spoil(store: Store, lost: str) -> Callable[[], int]:
    """Spoil a member's file in the store; return what mends it."""
    record = next(each for each in store.manifest(NAME).members if each.name == lost)
    blob = blob_file(store, NAME, record.blob)
    blob.chmod(0o644)
    whole = blob.read_bytes()
    blob.write_bytes(whole[:-1] + b"!")
    return lambda: blob.write_bytes(whole)


async def health_of(wire: Any, name: str) -> str:
    """Ask gRPC's health service; return its word."""
    request = health_pb2.HealthCheckRequest(service=name)
    found = await health_pb2_grpc.HealthStub(wire).Check(request, timeout=10)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(found.status))


async def test_a_member_that_cannot_be_loaded_is_made_up_for_where_the_quorum_holds(store: Store) -> None:
    manifest, rows = store.manifest(NAME), np.eye(3, dtype=np.float32)
    without = manifest.evidence["without"]
    lost = next(iter(without))
    whole = load_servable(store, NAME)
    spoil(store, lost)

    settings = replace(SETTINGS, quorum=1, http_port=0)
    async with (
        running(store, settings) as ports,
        grpc.aio.insecure_channel(f"127.0.0.1:{ports.grpc}") as wire,
    ):
        answer = await told(wire, rows)
        # Whoever balances load goes on sending: what is answered is answered well.
        assert await health_of(wire, "") == await health_of(wire, NAME) == "SERVING"
        assert ports.http is not None
        assert (await ask(ports.http, "/v2/health/ready")).status == 200
        tensor = {"name": "x", "datatype": "FP32", "shape": [3, 3], "data": rows.ravel().tolist()}
        over_http = (await ask(ports.http, f"/v2/models/{NAME}/infer", {"inputs": [tensor]})).json
        metrics = (await ask(ports.metrics, "/metrics")).body.decode()

    assert answer.parameters["degraded"].string_param == lost
    assert over_http["parameters"]["degraded"] == lost
    others = {each.name: each.predict({"x": rows}) for each in whole.members if each.name != lost}
    expected = sum(without[lost]["weights"][name] * scores for name, scores in others.items())
    given = np.frombuffer(answer.raw_output_contents[0], "<f4").reshape(3, 3)
    np.testing.assert_allclose(given, expected, atol=1e-6)
    assert re.search(rf'unisono_degraded_batches_total{{member="{lost}",model="{NAME}"}} 2.0', metrics)


async def test_a_member_that_can_be_loaded_again_is_taken_up_without_a_new_version(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ServeSettings, "watch_options", WatchOptions(0.01, RetryOptions(0.01, 0.01)))
    rows = np.eye(3, dtype=np.float32)
    lost = next(iter(store.manifest(NAME).evidence["without"]))
    expected = load_servable(store, NAME).score({"x": rows})
    mend = spoil(store, lost)
    async with (
        running(store, replace(SETTINGS, quorum=1)) as ports,
        grpc.aio.insecure_channel(f"127.0.0.1:{ports.grpc}") as wire,
    ):
        assert (await told(wire, rows)).parameters["degraded"].string_param == lost
        mend()
        async with asyncio.timeout(20):
            while "degraded" in (answer := await told(wire, rows)).parameters:
                pass
        assert answer.model_version == "2"
    given = np.frombuffer(answer.raw_output_contents[0], "<f4").reshape(3, 3)
    np.testing.assert_allclose(given, expected, atol=1e-6)


async def test_without_a_quorum_such_a_version_is_not_taken_up(store: Store) -> None:
    spoil(store, store.manifest(NAME).members[0].name)
    async with (
        running(store, SETTINGS) as ports,
        grpc.aio.insecure_channel(f"127.0.0.1:{ports.grpc}") as wire,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await told(wire, np.eye(3, dtype=np.float32))
    assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND)
