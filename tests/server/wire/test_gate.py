"""Who may call what: every kind of caller against every kind of method, over a real port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from server.telemetry.statistics import Statistics
from server.wire.access import Tokens, read_tokens
from server.wire.call import Call
from server.wire.control import Control, ControlOptions
from server.wire.gate import Gate
from server.wire.health import Health
from server.wire.messages import message_class
from server.wire.method import Method
from server.wire.oip import Oip
from server.wire.oip_management import OipManagement
from server.wire.reflection import reflection_methods
from server.wire.reloading import Reloaded
from server.wire.tfs import Tfs
from server.wire.tfs_models import TfsModels
from tests.support.bindings import Binding
from tests.support.models import FakeModels, FakeRepository
from tests.support.observers import Recorder

REQUEST = message_class("inference.ModelReadyRequest")
RESPONSE = message_class("inference.ModelReadyResponse")
OIP = "inference.GRPCInferenceService"
PREDICT, CONTROL, BOTH = "predict-predict-predict", "control-control-control", "both-both-both-both"
FILE = f"{PREDICT} predict\n{CONTROL} control\n{BOTH} predict control\n"
OK, UNAUTHENTICATED, PERMISSION_DENIED = "OK", "UNAUTHENTICATED", "PERMISSION_DENIED"


async def ready(_message: Any, call: Call) -> Any:
    assert "authorization" not in call.metadata
    return RESPONSE(ready=True)


def methods() -> list[Method]:
    """Every method there is, each with the same quick answer."""
    models, repository = FakeModels(), FakeRepository()
    control = Control(None, None, None, ControlOptions({}))  # type: ignore[arg-type]
    bound = [
        *Oip(models).methods(),
        *OipManagement(models, Statistics(), repository).methods(),
        *Tfs(models, lambda _: {}).methods(),
        *TfsModels(repository, lambda _: {}).methods(),
        *control.methods(),
    ]
    plain = [
        Method(m.service, m.name, REQUEST, RESPONSE, ready, refuse=m.refuse and (lambda *_: RESPONSE()))
        for m in bound
    ]
    return [*plain, *reflection_methods(plain)]


class World:
    """A server with these tokens, and a way to call it."""

    def __init__(self, file: Path, channel: Any, reloaded: Reloaded[Tokens], told: Recorder) -> None:
        self.file = file
        self.channel = channel
        self.reloaded = reloaded
        self.told = told

    async def code(self, method: str, token: str | None) -> str:
        """Call, on a stream where that is what the method is, and return the code."""
        metadata = [("authorization", f"Bearer {token}")] if token else []
        if method.endswith(("ModelStreamInfer", "ServerReflectionInfo")):
            stream = self.channel.stream_stream(f"/{method}")(metadata=metadata, timeout=10)
            await stream.done_writing()
            return str((await stream.code()).name)
        try:
            await self.channel.unary_unary(f"/{method}")(b"", metadata=metadata, timeout=10)
        except grpc.aio.AioRpcError as error:
            return str(error.code().name)
        return OK


@asynccontextmanager
async def world_of(binding: Binding, folder: Path) -> AsyncIterator[World]:
    file = folder / "tokens"
    file.write_text(FILE)
    told = Recorder()
    tokens = Reloaded("tokens", lambda: read_tokens(file, b"s" * 32), told)
    async with (
        binding.serve(methods(), Health(), observer=told, gate=Gate(tokens=tokens)) as (_, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield World(file, channel, tokens, told)


# Method: what each of these callers is told.
CALLERS = (None, "nobodys-nobodys-nobodys", PREDICT, CONTROL, BOTH)
FOR_PREDICT = (UNAUTHENTICATED, UNAUTHENTICATED, OK, PERMISSION_DENIED, OK)
FOR_CONTROL = (UNAUTHENTICATED, UNAUTHENTICATED, PERMISSION_DENIED, OK, OK)
FOR_EITHER = (UNAUTHENTICATED, UNAUTHENTICATED, OK, OK, OK)
FOR_ALL = (OK, OK, OK, OK, OK)
PREDICTION, MODELS = "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"
TABLE = {
    f"{OIP}/ServerLive": FOR_PREDICT,
    f"{OIP}/ServerReady": FOR_PREDICT,
    f"{OIP}/ModelReady": FOR_PREDICT,
    f"{OIP}/ServerMetadata": FOR_PREDICT,
    f"{OIP}/ModelMetadata": FOR_PREDICT,
    f"{OIP}/ModelConfig": FOR_PREDICT,
    f"{OIP}/ModelStatistics": FOR_PREDICT,
    f"{OIP}/ModelInfer": FOR_PREDICT,
    f"{OIP}/ModelStreamInfer": FOR_PREDICT,
    f"{OIP}/RepositoryIndex": FOR_PREDICT,
    f"{OIP}/RepositoryModelLoad": FOR_CONTROL,
    f"{OIP}/RepositoryModelUnload": FOR_CONTROL,
    f"{OIP}/TraceSetting": FOR_PREDICT,
    f"{OIP}/LogSettings": FOR_PREDICT,
    f"{PREDICTION}/Classify": FOR_PREDICT,
    f"{PREDICTION}/Regress": FOR_PREDICT,
    f"{PREDICTION}/Predict": FOR_PREDICT,
    f"{PREDICTION}/MultiInference": FOR_PREDICT,
    f"{PREDICTION}/GetModelMetadata": FOR_PREDICT,
    f"{MODELS}/GetModelStatus": FOR_PREDICT,
    f"{MODELS}/HandleReloadConfigRequest": FOR_CONTROL,
    "unisono.v1.Control/Refit": FOR_CONTROL,
    "unisono.v1.Control/GetWeights": FOR_CONTROL,
    "unisono.v1.Control/History": FOR_CONTROL,
    "unisono.v1.Control/Rollback": FOR_CONTROL,
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo": FOR_EITHER,
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": FOR_EITHER,
    "grpc.health.v1.Health/Check": FOR_ALL,
}


def test_every_method_is_in_the_table() -> None:
    named = {f"{method.service}/{method.name}" for method in methods()}
    assert named | {"grpc.health.v1.Health/Check"} == TABLE.keys()


@pytest.mark.parametrize("method", TABLE)
async def test_who_may_call_what(binding: Binding, tmp_path: Path, method: str) -> None:
    async with world_of(binding, tmp_path) as world:
        told = tuple([await world.code(method, caller) for caller in CALLERS])

    assert told == TABLE[method]


async def test_a_refusal_is_counted_once(binding: Binding) -> None:
    told = Recorder()
    gate = Gate(tokens=Reloaded("tokens", lambda: Tokens(b"s" * 32, ()), told))
    async with (
        binding.serve(methods(), Health(), observer=told, gate=gate) as (_, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        world = World(Path(), channel, Reloaded("tokens", lambda: Tokens(b"", ()), told), told)
        for method in ("ModelInfer", "ModelStreamInfer"):
            assert await world.code(f"{OIP}/{method}", None) == UNAUTHENTICATED

    handled = [(each["method"], each["code"]) for name, _, each in told.calls if name == "handled"]
    assert handled == [("ModelInfer", UNAUTHENTICATED), ("ModelStreamInfer", UNAUTHENTICATED)]


async def test_tokens_come_and_go_with_their_file(binding: Binding, tmp_path: Path) -> None:
    async with world_of(binding, tmp_path) as world:
        world.file.write_text("newcomer-newcomer predict\n")
        world.reloaded.look()
        assert await world.code(f"{OIP}/ModelInfer", PREDICT) == UNAUTHENTICATED
        assert await world.code(f"{OIP}/ModelInfer", "newcomer-newcomer") == OK


async def test_a_token_that_is_taken_away_ends_what_its_open_stream_may_ask(
    binding: Binding, tmp_path: Path
) -> None:
    async with world_of(binding, tmp_path) as world:
        metadata = [("authorization", f"Bearer {PREDICT}"), ("triton_grpc_error", "true")]
        stream = world.channel.stream_stream(f"/{OIP}/ModelStreamInfer")(metadata=metadata, timeout=10)
        await stream.write(b"")
        assert RESPONSE.FromString(await stream.read()).ready
        world.file.write_text("newcomer-newcomer predict\n")
        world.reloaded.look()
        await stream.write(b"")
        assert (await stream.code()).name == UNAUTHENTICATED


@pytest.mark.parametrize("broken", ["", "short predict\n", "newcomer-newcomer root\n", None])
async def test_a_broken_file_leaves_the_tokens_as_they_were(
    binding: Binding, tmp_path: Path, broken: str | None
) -> None:
    async with world_of(binding, tmp_path) as world:
        if broken is None:
            world.file.unlink()
        else:
            world.file.write_text(broken)
        for _ in range(3):
            world.reloaded.look()
        assert await world.code(f"{OIP}/ModelInfer", PREDICT) == OK
        assert world.told.of("reload_failed") == [("tokens",)]


async def test_health_is_watched_without_a_token(binding: Binding, tmp_path: Path) -> None:
    async with world_of(binding, tmp_path) as world, asyncio.timeout(10):
        watch = world.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        assert await watch.read() == b"\x08\x02"  # NOT_SERVING
        watch.cancel()
