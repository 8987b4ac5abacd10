"""TensorFlow Serving's dialect on the whole server: what only the parts put together can show."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from ensemble.publishing.publish import PublishOptions, publish
from model_store.store import Store
from server.app import running
from server.config import ServeSettings
from server.wire import tfs_tensors
from server.wire.messages import message_class, pool
from tests.support.onnx_models import write_linear

Ask = Callable[..., Awaitable[Any]]
SERVICES = ("tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")
X = tfs_tensors.to_proto(np.ones((2, 4), np.float32))
LINEAR = {"name": "linear"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with the ensembles `linear`, of members `a` and `b`, and `other`."""
    for seed, name in enumerate("ab"):
        write_linear(tmp_path / f"{name}.onnx", seed=seed)
    store = Store.open(str(tmp_path / "store"))
    publish(store, "linear", {name: tmp_path / f"{name}.onnx" for name in "ab"}, PublishOptions())
    publish(store, "other", {"a": tmp_path / "a.onnx"}, PublishOptions())
    return store


@asynccontextmanager
async def asking(store: Store, **settings: Any) -> AsyncIterator[Ask]:
    """Give a function that calls a method of either service, by its name and the request's fields."""
    methods = {m.name: (s, m) for s in SERVICES for m in pool().FindServiceByName(s).methods}
    told = ServeSettings(grpc_port=0, metrics_port=0, poll_interval_secs=0.02, **settings)
    async with running(store, told) as ports, grpc.aio.insecure_channel(f"127.0.0.1:{ports.grpc}") as wire:

        async def ask(name: str, **fields: Any) -> Any:
            service, method = methods[name]
            request = message_class(method.input_type.full_name)(**fields)
            response = message_class(method.output_type.full_name)
            call = wire.unary_unary(
                f"/{service}/{name}", type(request).SerializeToString, response.FromString
            )
            return await call(request, timeout=10)

        yield ask


async def states(ask: Ask, name: str) -> list[tuple[int, int]]:
    answer = await ask("GetModelStatus", model_spec={"name": name})
    return [(each.version, each.state) for each in answer.model_version_status]


async def test_a_label_is_taken_up_while_the_server_runs_and_moves_with_the_store(store: Store) -> None:
    by_label = {"name": "linear", "version_label": "stable"}
    async with asking(store) as ask:
        with pytest.raises(grpc.aio.AioRpcError, match="Unrecognized servable version label: stable"):
            await ask("Predict", model_spec=by_label, inputs={"x": X})
        await asyncio.to_thread(store.label, "linear", "stable", 1, by="t", why="t")
        async with asyncio.timeout(20):
            while True:
                try:
                    answer = await ask("Predict", model_spec=by_label, inputs={"x": X})
                    break
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.02)
        member = await ask("Predict", model_spec={**by_label, "name": "linear.a"}, inputs={"x": X})

    assert answer.model_spec.version.value == member.model_spec.version.value == 1


async def test_both_forms_of_an_answer_say_the_same(store: Store) -> None:
    answers = []
    for tensor_content in (False, True):
        async with asking(store, tensor_content=tensor_content) as ask:
            answers.append((await ask("Predict", model_spec=LINEAR, inputs={"x": X})).outputs["scores"])

    typed, raw = answers
    assert (len(typed.float_val), len(raw.float_val)) == (6, 0)
    np.testing.assert_array_equal(
        tfs_tensors.from_proto(typed, "float32"), tfs_tensors.from_proto(raw, "float32")
    )


async def test_a_config_unloads_what_it_leaves_out_until_another_brings_it_back(store: Store) -> None:
    async with asking(store, enable_model_control=True) as ask:
        await ask("HandleReloadConfigRequest", config={"model_config_list": {"config": [LINEAR]}})
        left_out = await states(ask, "linear"), await states(ask, "other")
        with pytest.raises(grpc.aio.AioRpcError, match=r"Servable not found for request: Latest\(other\)"):
            await ask("Predict", model_spec={"name": "other"}, inputs={"x": X})
        both = [LINEAR, {"name": "other"}]
        await ask("HandleReloadConfigRequest", config={"model_config_list": {"config": both}})
        back = await states(ask, "linear"), await states(ask, "other")

    assert left_out == ([(1, 30)], [(1, 50)])
    assert back == ([(1, 30)], [(1, 30)])


async def test_a_config_is_refused_where_callers_may_not_control_models(store: Store) -> None:
    async with asking(store) as ask:
        with pytest.raises(grpc.aio.AioRpcError, match="--enable-model-control"):
            await ask("HandleReloadConfigRequest", config={"model_config_list": {"config": [LINEAR]}})
