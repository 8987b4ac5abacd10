import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.wire.health import Health
from tests.support.bindings import Binding
from tests.support.observers import Recorder


@asynccontextmanager
async def checked(binding: Binding) -> AsyncIterator[tuple[Any, Health, Any]]:
    """A served `Health`, and a stub of the stock health client."""
    health = Health()
    async with (
        binding.serve([], health, observer=Recorder()) as (transport, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield transport, health, health_pb2_grpc.HealthStub(channel)


def name(response: Any) -> str:
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(response.status))


async def check(stub: Any, service: str = "") -> str:
    return name(await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5))


async def test_the_server_is_born_not_serving(binding: Binding) -> None:
    async with checked(binding) as (_, _health, stub):
        assert await check(stub) == "NOT_SERVING"


async def test_the_server_and_each_model_have_a_status(binding: Binding) -> None:
    async with checked(binding) as (_, health, stub):
        health.show(ready=False, models=["digits"])
        assert [await check(stub), await check(stub, "digits")] == ["NOT_SERVING", "SERVING"]

        health.show(ready=True, models=["digits", "digits.forest"])
        assert [await check(stub), await check(stub, "digits.forest")] == ["SERVING", "SERVING"]

        health.show(ready=True, models=["digits"])
        assert [await check(stub, "digits"), await check(stub, "digits.forest")] == ["SERVING", "NOT_SERVING"]


async def test_a_name_never_served_is_not_found(binding: Binding) -> None:
    async with checked(binding) as (_, _health, stub):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await check(stub, "nothing")

    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_watch_hears_of_every_change_and_ends_with_the_server(binding: Binding) -> None:
    async with checked(binding) as (transport, health, stub):
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="digits"), timeout=10)
        heard = [name(await watch.read())]
        health.show(ready=True, models=["digits"])
        heard.append(name(await watch.read()))
        # A watch with nothing to tell must not hold up the stop.
        await asyncio.wait_for(transport.stop(30), 5)
        while (response := await watch.read()) is not grpc.aio.EOF:
            heard.append(name(response))

    assert heard == ["SERVICE_UNKNOWN", "SERVING", "NOT_SERVING"]


async def test_a_drain_says_not_serving_first_and_for_good(binding: Binding) -> None:
    async with checked(binding) as (transport, health, stub):
        health.show(ready=True, models=["digits"])
        transport.drain()
        health.show(ready=True, models=["digits"])

        assert [await check(stub), await check(stub, "digits")] == ["NOT_SERVING", "NOT_SERVING"]
