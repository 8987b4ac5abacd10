import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from ensemble.errors import OverloadedError
from server.wire.call import Call
from server.wire.health import Health
from server.wire.messages import message_class
from server.wire.method import Method
from server.wire.stream import MAX_IN_FLIGHT
from tests.support.bindings import Binding
from tests.support.observers import Recorder

REQUEST = message_class("inference.ModelInferRequest")
RESPONSE = message_class("inference.ModelStreamInferResponse")
DRAINING = "GRPC server is shutting down and has stopped accepting new requests."
OK, UNAVAILABLE = "OK", "UNAVAILABLE"
Function = Callable[[Any, Call], Awaitable[Any]]


def answer(request: Any, text: str = "") -> Any:
    return RESPONSE(error_message=text, infer_response={"id": request.id if request else "?"})


async def echo(request: Any, _call: Call) -> Any:
    if request.model_name == "full":
        raise OverloadedError("8 rows wait")
    return answer(request)


class World:
    """A server of one stream method, a stub for it, and what its observer was told."""

    def __init__(self, transport: Any, channel: Any, told: Recorder) -> None:
        self.transport = transport
        self.stub = channel.stream_stream("/test.Service/Ask")
        self.told = told

    def codes(self) -> list[str]:
        return [kwargs["code"] for _, _, kwargs in self.told.calls]


@asynccontextmanager
async def served(binding: Binding, function: Function = echo) -> AsyncIterator[World]:
    told = Recorder()
    method = Method("test.Service", "Ask", REQUEST, RESPONSE, function, refuse=answer)
    async with (
        binding.serve([method], Health(), observer=told) as (transport, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield World(transport, channel, told)


async def write(stream: Any, *requests: tuple[str, str]) -> None:
    for name, model in requests:
        await stream.write(REQUEST(id=name, model_name=model).SerializeToString())


async def read(stream: Any, count: int) -> list[tuple[str, str]]:
    answers = [RESPONSE.FromString(await stream.read()) for _ in range(count)]
    return [(each.infer_response.id, each.error_message) for each in answers]


async def ended(stream: Any) -> tuple[str, str]:
    return (await stream.code()).name, await stream.details()


async def test_answers_come_in_the_order_of_the_requests_which_run_side_by_side(binding: Binding) -> None:
    second_ran = asyncio.Event()

    async def first_waits_for_second(request: Any, _call: Call) -> Any:
        if request.id == "1":
            await second_ran.wait()
        second_ran.set()
        return answer(request)

    async with served(binding, first_waits_for_second) as world:
        stream = world.stub()
        await write(stream, ("1", ""), ("2", ""))
        await stream.done_writing()
        assert await read(stream, 2) == [("1", ""), ("2", "")]
        assert await stream.read() is grpc.aio.EOF
        assert await ended(stream) == (OK, "")

    assert world.codes() == [OK, OK]


async def test_a_request_that_fails_is_answered_and_the_stream_goes_on(binding: Binding) -> None:
    async with served(binding) as world:
        stream = world.stub()
        await write(stream, ("1", "full"), ("2", ""))
        await stream.write(b"\xff\xff")
        await stream.done_writing()
        assert await read(stream, 3) == [
            ("1", "Exceeds maximum queue size; 8 rows wait"),
            ("2", ""),
            ("?", "the bytes are not a ModelInferRequest"),
        ]
        assert await ended(stream) == (OK, "")

    assert sorted(world.codes()) == ["INVALID_ARGUMENT", OK, UNAVAILABLE]


async def test_a_client_may_have_its_stream_end_at_the_first_error(binding: Binding) -> None:
    async with served(binding) as world:
        stream = world.stub(metadata=[("triton_grpc_error", "true")])
        await write(stream, ("1", ""), ("2", "full"), ("3", ""))
        assert await read(stream, 1) == [("1", "")]
        assert await ended(stream) == (UNAVAILABLE, "Exceeds maximum queue size; 8 rows wait")


@pytest.mark.parametrize("more", [True, False])
async def test_what_runs_behind_the_error_that_ends_a_stream_is_cancelled(
    binding: Binding, more: bool
) -> None:
    behind, go_on = asyncio.Event(), asyncio.Event()

    async def second_hangs(request: Any, _call: Call) -> Any:
        if request.id == "1":
            await go_on.wait()
            raise OverloadedError("8 rows wait")
        behind.set()
        await asyncio.Event().wait()

    async with served(binding, second_hangs) as world:
        stream = world.stub(metadata=[("triton_grpc_error", "true")])
        await write(stream, ("1", ""), ("2", ""))
        if not more:
            await stream.done_writing()
        await behind.wait()
        go_on.set()
        assert (await ended(stream))[0] == UNAVAILABLE

    assert world.codes() == [UNAVAILABLE, "CANCELLED"]


async def test_only_so_many_requests_of_a_stream_run_at_once(binding: Binding) -> None:
    go_on, running = asyncio.Event(), 0
    full = asyncio.Event()

    async def wait(request: Any, _call: Call) -> Any:
        nonlocal running
        running += 1
        assert running <= MAX_IN_FLIGHT
        if running == MAX_IN_FLIGHT:
            full.set()
        await go_on.wait()
        running -= 1
        return answer(request)

    async with served(binding, wait) as world:
        stream = world.stub()
        names = [str(number) for number in range(2 * MAX_IN_FLIGHT)]
        await write(stream, *((name, "") for name in names))
        await stream.done_writing()
        async with asyncio.timeout(5):
            await full.wait()
        for _ in range(50):  # The rest has every chance to start now.
            await asyncio.sleep(0)
        go_on.set()
        assert [name for name, _ in await read(stream, len(names))] == names

    assert world.codes() == [OK] * len(names)


async def test_a_drain_answers_what_was_taken_and_ends_the_stream(binding: Binding) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def wait(request: Any, _call: Call) -> Any:
        if request.id == "1":
            started.set()
            await go_on.wait()
        return answer(request)

    async with served(binding, wait) as world:
        busy, idle = world.stub(), world.stub()
        await write(idle, ("0", ""))
        assert await read(idle, 1) == [("0", "")]
        await write(busy, ("1", ""))
        await started.wait()
        stopping = asyncio.create_task(world.transport.stop(10))
        await asyncio.sleep(0)
        go_on.set()
        assert await read(busy, 1) == [("1", "")]
        assert await ended(busy) == (UNAVAILABLE, DRAINING)
        assert await ended(idle) == (UNAVAILABLE, DRAINING)
        async with asyncio.timeout(5):  # An idle stream doesn't hold it up for the whole grace.
            await stopping


async def test_a_stream_that_opens_in_a_drain_is_turned_away(binding: Binding) -> None:
    async with served(binding) as world:
        world.transport.drain()
        assert await ended(world.stub()) == (UNAVAILABLE, DRAINING)


@pytest.mark.parametrize("taken", [1, 3])
async def test_requests_of_a_stream_that_its_client_cancels_are_counted_so(
    binding: Binding, taken: int
) -> None:
    started = asyncio.Semaphore(0)

    async def wait(_request: Any, _call: Call) -> Any:
        started.release()
        await asyncio.Event().wait()

    async with served(binding, wait) as world:
        stream = world.stub()
        await write(stream, *((str(number), "") for number in range(taken)))
        for _ in range(taken):
            await started.acquire()
        stream.cancel()
        async with asyncio.timeout(5):
            while len(world.codes()) < taken:
                await asyncio.sleep(0.001)

    assert world.codes() == ["CANCELLED"] * taken
