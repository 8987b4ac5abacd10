"""Which versions the whole server serves: pinned, followed, by label, several at once."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from ensemble.errors import InvalidRequestError
from ensemble.publishing.publish import PublishOptions, publish
from model_store.store import Store
from server.app import running
from server.config import ServeSettings
from server.wire import tfs_tensors
from server.wire.client import Client
from server.wire.messages import message_class
from tests.support.onnx_models import write_linear

ROWS = {"x": np.ones((2, 4), np.float32)}
PREDICT = "/tensorflow.serving.PredictionService/Predict"
INDEX = "/inference.GRPCInferenceService/RepositoryIndex"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store whose ensemble `linear` has three versions of one member each, 2 being `stable`."""
    store = Store.open(str(tmp_path / "store"))
    for seed in range(3):
        write_linear(tmp_path / f"{seed}.onnx", seed=seed)
        publish(store, "linear", {"a": tmp_path / f"{seed}.onnx"}, PublishOptions())
    store.label("linear", "stable", 2, by="t", why="t")
    return store


@asynccontextmanager
async def serving(store: Store, **settings: Any) -> AsyncIterator[tuple[Client, str]]:
    told = ServeSettings(grpc_port=0, metrics_port=0, **{"poll_interval_secs": 0.02, **settings})
    async with running(store, told) as ports:
        address = f"127.0.0.1:{ports.grpc}"
        with Client(address) as client:
            yield client, address


async def version(client: Client, wanted: str = "") -> int:
    return (await asyncio.to_thread(lambda: client.infer("linear", ROWS, version=wanted))).version


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not await holds():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("wishes", "expected"), [((), 3), (("linear=1",), 1), (("stable",), 2), (("linear=latest", "9"), 3)]
)
async def test_one_version_is_served_as_wished(store: Store, wishes: tuple[str, ...], expected: int) -> None:
    async with serving(store, model_version=wishes) as (client, _):
        assert await version(client) == expected
        for other in {1, 2, 3} - {expected}:
            with pytest.raises(InvalidRequestError, match=f"version {other} is not found"):
                await version(client, str(other))


async def test_a_label_is_followed_and_a_pinned_version_stays(store: Store) -> None:
    async with (
        serving(store, model_version=("linear=stable",)) as (following, _),
        serving(store, model_version=("linear=2",)) as (pinned, _),
    ):
        await asyncio.to_thread(store.label, "linear", "stable", 3, by="t", why="t")

        async def moved() -> bool:
            return await version(following) == 3

        await until(moved)
        assert await version(pinned) == 2


async def test_a_label_that_is_not_there_keeps_the_server_from_being_ready_until_it_is(store: Store) -> None:
    async with serving(store, model_version=("linear=canary",)) as (client, _):
        assert not await asyncio.to_thread(client.healthy)
        await asyncio.to_thread(store.label, "linear", "canary", 1, by="t", why="t")
        await until(lambda: asyncio.to_thread(client.healthy))
        assert await version(client) == 1


async def test_the_latest_versions_are_served_side_by_side_and_found_by_number_and_label(
    store: Store,
) -> None:
    async with (
        serving(store, keep_latest=2) as (client, address),
        grpc.aio.insecure_channel(address) as wire,
    ):
        assert [await version(client, text) for text in ("", "3", "2")] == [3, 3, 2]
        with pytest.raises(InvalidRequestError, match="version 1 is not found"):
            await version(client, "1")
        request = message_class("tensorflow.serving.PredictRequest")(
            model_spec={"name": "linear", "version_label": "stable"},
            inputs={"x": tfs_tensors.to_proto(ROWS["x"])},
        )
        response = message_class("tensorflow.serving.PredictResponse")
        predict = wire.unary_unary(PREDICT, type(request).SerializeToString, response.FromString)
        assert (await predict(request, timeout=10)).model_spec.version.value == 2
        listed = message_class("inference.RepositoryIndexRequest")()
        answer = message_class("inference.RepositoryIndexResponse")
        index = wire.unary_unary(INDEX, type(listed).SerializeToString, answer.FromString)
        models = (await index(listed, timeout=10)).models
        assert [(each.name, each.version, each.state) for each in models] == [
            ("linear", "2", "READY"), ("linear.a", "2", "READY"),
            ("linear", "3", "READY"), ("linear.a", "3", "READY"),
        ]  # fmt: skip

        await asyncio.to_thread(store.rollback, "linear", 1, by="t", why="t")

        async def moved() -> bool:
            return await version(client) == 1

        await until(moved)
        assert await version(client, "3") == 3
        with pytest.raises(InvalidRequestError, match="version 2 is not found"):
            await version(client, "2")


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux'")
async def test_a_change_in_a_store_on_this_machine_is_seen_without_waiting_for_the_next_poll(
    store: Store,
) -> None:
    async with serving(store, poll_interval_secs=3600.0) as (client, _):
        await asyncio.to_thread(store.rollback, "linear", 1, by="t", why="t")

        async def moved() -> bool:
            return await version(client) == 1

        await until(moved)
