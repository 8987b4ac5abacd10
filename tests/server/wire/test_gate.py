"""Who may call what: every kind of caller against every kind of method, over a real port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from server.wire.access import Tokens, read_tokens
from server.wire.call import Call
from server.wire.gate import Gate
from server.wire.health import Health
from server.wire.messages import message_class
from server.wire.method import Method
from server.wire.reflection import reflection_methods
from server.wire.reloading import Reloaded
from server.wire.transport_grpcio import GrpcTransport, TransportOptions
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
    names = (
        (OIP, "ServerLive"),
        (OIP, "ModelInfer"),
        (OIP, "RepositoryIndex"),
        (OIP, "RepositoryModelLoad"),
        (OIP, "RepositoryModelUnload"),
        ("tensorflow.serving.PredictionService", "Predict"),
        ("tensorflow.serving.ModelService", "GetModelStatus"),
        ("tensorflow.serving.ModelService", "HandleReloadConfigRequest"),
        ("unisono.v1.Control", "Refit"),
    )
    plain = [Method(service, name, REQUEST, RESPONSE, ready) for service, name in names]
    stream = Method(OIP, "ModelStreamInfer", REQUEST, RESPONSE, ready, refuse=lambda *_: RESPONSE())
    return [*plain, stream, *reflection_methods(plain)]


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
async def world_of(folder: Path) -> AsyncIterator[World]:
    file = folder / "tokens"
    file.write_text(FILE)
    told = Recorder()
    tokens = Reloaded("tokens", lambda: read_tokens(file, b"s" * 32), told)
    transport = GrpcTransport(
        methods(), Health(), observer=told, options=TransportOptions("127.0.0.1:0"), gate=Gate(tokens=tokens)
    )
    port = await transport.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            yield World(file, channel, tokens, told)
        finally:
            await transport.stop(5)


# Method: what each of these callers is told.
CALLERS = (None, "nobodys-nobodys-nobodys", PREDICT, CONTROL, BOTH)
FOR_PREDICT = (UNAUTHENTICATED, UNAUTHENTICATED, OK, PERMISSION_DENIED, OK)
FOR_CONTROL = (UNAUTHENTICATED, UNAUTHENTICATED, PERMISSION_DENIED, OK, OK)
FOR_EITHER = (UNAUTHENTICATED, UNAUTHENTICATED, OK, OK, OK)
FOR_ALL = (OK, OK, OK, OK, OK)
TABLE = {
    f"{OIP}/ServerLive": FOR_PREDICT,
    f"{OIP}/ModelInfer": FOR_PREDICT,
    f"{OIP}/ModelStreamInfer": FOR_PREDICT,
    f"{OIP}/RepositoryIndex": FOR_PREDICT,
    f"{OIP}/RepositoryModelLoad": FOR_CONTROL,
    f"{OIP}/RepositoryModelUnload": FOR_CONTROL,
    "tensorflow.serving.PredictionService/Predict": FOR_PREDICT,
    "tensorflow.serving.ModelService/GetModelStatus": FOR_PREDICT,
    "tensorflow.serving.ModelService/HandleReloadConfigRequest": FOR_CONTROL,
    "unisono.v1.Control/Refit": FOR_CONTROL,
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo": FOR_EITHER,
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": FOR_EITHER,
    "grpc.health.v1.Health/Check": FOR_ALL,
}


@pytest.mark.parametrize("method", TABLE)
@pytest.mark.parametrize("caller", range(len(CALLERS)))
async def test_who_may_call_what(tmp_path: Path, method: str, caller: int) -> None:
    async with world_of(tmp_path) as world:
        assert await world.code(method, CALLERS[caller]) == TABLE[method][caller]


async def test_a_refusal_is_counted_once() -> None:
    told = Recorder()
    gate = Gate(tokens=Reloaded("tokens", lambda: Tokens(b"s" * 32, ()), told))
    transport = GrpcTransport(
        methods(), Health(), observer=told, options=TransportOptions("127.0.0.1:0"), gate=gate
    )
    port = await transport.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        world = World(Path(), channel, Reloaded("tokens", lambda: Tokens(b"", ()), told), told)
        for method in ("ModelInfer", "ModelStreamInfer"):
            assert await world.code(f"{OIP}/{method}", None) == UNAUTHENTICATED
    await transport.stop(5)

    handled = [(each["method"], each["code"]) for name, _, each in told.calls if name == "handled"]
    assert handled == [("ModelInfer", UNAUTHENTICATED), ("ModelStreamInfer", UNAUTHENTICATED)]


async def test_tokens_come_and_go_with_their_file(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        world.file.write_text("newcomer-newcomer predict\n")
        world.reloaded.look()
        assert await world.code(f"{OIP}/ModelInfer", PREDICT) == UNAUTHENTICATED
        assert await world.code(f"{OIP}/ModelInfer", "newcomer-newcomer") == OK


async def test_a_token_that_is_taken_away_ends_what_its_open_stream_may_ask(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        metadata = [("authorization", f"Bearer {PREDICT}"), ("triton_grpc_error", "true")]
        stream = world.channel.stream_stream(f"/{OIP}/ModelStreamInfer")(metadata=metadata, timeout=10)
        await stream.write(b"")
        assert RESPONSE.FromString(await stream.read()).ready
        world.file.write_text("newcomer-newcomer predict\n")
        world.reloaded.look()
        await stream.write(b"")
        assert (await stream.code()).name == UNAUTHENTICATED


@pytest.mark.parametrize("broken", ["", "short predict\n", "newcomer-newcomer root\n", None])
async def test_a_broken_file_leaves_the_tokens_as_they_were(tmp_path: Path, broken: str | None) -> None:
    async with world_of(tmp_path) as world:
        if broken is None:
            world.file.unlink()
        else:
            world.file.write_text(broken)
        for _ in range(3):
            world.reloaded.look()
        assert await world.code(f"{OIP}/ModelInfer", PREDICT) == OK
        assert world.told.of("reload_failed") == [("tokens",)]


async def test_health_is_watched_without_a_token(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world, asyncio.timeout(10):
        watch = world.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        assert await watch.read() == b"\x08\x02"  # NOT_SERVING
        watch.cancel()
