"""What is refused, and that refusing it costs next to nothing."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from server.wire.admission import Admission, AdmissionLimits
from server.wire.call import Call
from server.wire.gate import Gate
from server.wire.health import Health
from server.wire.messages import message_class
from server.wire.method import Method
from server.wire.transport_options import TransportOptions
from tests.support.bindings import Binding
from tests.support.observers import Recorder

REQUEST = message_class("inference.ModelReadyRequest")
RESPONSE = message_class("inference.ModelReadyResponse")
Function = Callable[[Any, Call], Awaitable[Any]]
NO_MESSAGE = b"\xff\xff"
RETRIES = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 5,
                    # Far longer than the test may take: only the server's own hint can end the wait in time.
                    "initialBackoff": "300s",
                    "maxBackoff": "300s",
                    "backoffMultiplier": 1,
                    "retryableStatusCodes": ["RESOURCE_EXHAUSTED"],
                },
            }
        ]
    }
)


class World:
    """A server of a plain method and a stream method that wait for `go_on`, and a connection to it."""

    def __init__(self, channel: Any, address: str, told: Recorder) -> None:
        self.channel, self.address, self.told = channel, address, told
        self.began: list[Any] = []
        self.go_on = asyncio.Event()
        self.expected = 0.0  # seconds until scores come

    async def wait(self, message: Any, _call: Call) -> Any:
        self.began.append(message)
        await self.go_on.wait()
        return RESPONSE(ready=True)

    def ask(self, data: bytes = b"", **options: Any) -> Any:
        return self.channel.unary_unary("/test.Service/Ask")(data, timeout=20, **options)

    async def running(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.began) < count:
                await asyncio.sleep(0.001)


@asynccontextmanager
async def world_of(
    binding: Binding,
    limits: AdmissionLimits | None = None,
    client: tuple[tuple[str, Any], ...] = (),
    **options: Any,
) -> AsyncIterator[World]:
    told = Recorder()
    world = World(None, "", told)
    methods = [
        Method("test.Service", "Ask", REQUEST, RESPONSE, world.wait),
        Method("test.Service", "Stream", REQUEST, RESPONSE, world.wait, refuse=lambda *_: RESPONSE()),
        Method("test.Service", "Score", REQUEST, RESPONSE, world.wait, scores=True),
    ]
    gate = Gate(admission=Admission(limits or AdmissionLimits(), told, lambda _: world.expected))
    settings = [("grpc.use_local_subchannel_pool", 1), *client]
    async with (
        binding.serve(methods, Health(), observer=told, options=TransportOptions(**options), gate=gate) as (
            transport,
            world.address,
        ),
        grpc.aio.insecure_channel(world.address, settings) as channel,
    ):
        world.channel = channel
        try:
            yield world
        finally:
            world.go_on.set()
            await transport.stop(5)


async def refusal(call: Any) -> tuple[str, str, dict[str, str]]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    error = raised.value
    return error.code().name, error.details(), dict(error.trailing_metadata())


async def test_a_call_beyond_the_limit_is_refused_with_a_hint_and_never_parsed(binding: Binding) -> None:
    async with world_of(binding, AdmissionLimits(calls=1)) as world:
        first = asyncio.ensure_future(world.ask())
        await world.running(1)
        code, text, trailing = await refusal(world.ask(NO_MESSAGE))
        world.go_on.set()
        await first

    assert (code, text.split(";")[0]) == ("RESOURCE_EXHAUSTED", "server is at its limit: 1 calls run, 1 may")
    assert 15 <= int(trailing["grpc-retry-pushback-ms"]) <= 30
    assert world.told.of("refused") == [("calls",)]


async def test_a_refused_caller_need_not_have_sent_its_message(binding: Binding) -> None:
    async with world_of(binding, AdmissionLimits(calls=1)) as world:
        first = asyncio.ensure_future(world.ask())
        await world.running(1)
        unsent = world.channel.stream_unary("/test.Service/Ask")(timeout=20)
        assert (await unsent.code()).name == "RESOURCE_EXHAUSTED"
        world.go_on.set()
        await first


async def test_bytes_beyond_the_limit_are_refused(binding: Binding) -> None:
    async with world_of(binding, AdmissionLimits(calls=9, size=1000)) as world:
        large = REQUEST(name="x" * 900).SerializeToString()
        first = asyncio.ensure_future(world.ask(large))
        await world.running(1)
        code, text, _ = await refusal(world.ask(large))
        world.go_on.set()
        await first
        await world.ask(large)

    assert (code, text.split(",")[0]) == ("RESOURCE_EXHAUSTED", "server is at its limit: 903 bytes are held")


async def test_while_scores_take_too_long_who_wants_some_is_refused_unread_and_others_are_not(
    binding: Binding,
) -> None:
    async with world_of(binding, AdmissionLimits(wait_secs=0.5)) as world:
        world.expected = 2.0
        world.go_on.set()
        unsent = world.channel.stream_unary("/test.Service/Score")(timeout=20)
        assert (await unsent.code()).name == "RESOURCE_EXHAUSTED"
        trailing = dict(await unsent.trailing_metadata())
        await world.ask()

    assert 1500 <= int(trailing["grpc-retry-pushback-ms"]) <= 3000
    assert world.told.of("refused") == [("wait",)]


async def test_a_full_server_still_tells_its_health(binding: Binding) -> None:
    async with world_of(binding, AdmissionLimits(calls=1)) as world:
        first = asyncio.ensure_future(world.ask())
        await world.running(1)
        assert await world.channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=20) == b"\x08\x02"
        world.go_on.set()
        await first


async def test_grpcs_own_retries_come_again_when_the_hint_says_so(binding: Binding) -> None:
    async with world_of(binding, AdmissionLimits(calls=1), (("grpc.service_config", RETRIES),)) as world:
        first = asyncio.ensure_future(world.ask())
        await world.running(1)
        second = asyncio.ensure_future(world.ask())
        while not world.told.of("refused"):
            await asyncio.sleep(0.001)
        world.go_on.set()
        answers = await asyncio.gather(first, second)

    assert [RESPONSE.FromString(answer).ready for answer in answers] == [True, True]


async def test_waves_of_callers_never_exceed_the_limit_and_every_place_is_given_back(
    binding: Binding,
) -> None:
    codes: list[str] = []

    async def call(world: World, timeout: float) -> None:  # noqa: ASYNC109 - the client's, not a wait of ours
        try:
            await world.channel.unary_unary("/test.Service/Ask")(b"", timeout=timeout)
            codes.append("OK")
        except grpc.aio.AioRpcError as error:
            codes.append(error.code().name)

    async with world_of(binding, AdmissionLimits(calls=8)) as world:
        for _ in range(6):
            world.go_on.clear()
            # Every third caller gives up early, maybe unheard: its place must come back all the same.
            callers = [asyncio.create_task(call(world, 0.05 if n % 3 == 0 else 20)) for n in range(40)]
            patient = [caller for n, caller in enumerate(callers) if n % 3]
            await asyncio.gather(*(caller for caller in callers if caller not in patient))
            # The others have a place now, or were refused.
            while world.told.of("in_flight")[-1][0] + sum(one.done() for one in patient) < len(patient):
                await asyncio.sleep(0.001)
            world.go_on.set()
            await asyncio.gather(*callers)
            while world.told.of("in_flight")[-1] != (0, 0):
                await asyncio.sleep(0.001)

    assert max(calls for calls, _ in world.told.of("in_flight")) == 8
    assert codes.count("RESOURCE_EXHAUSTED") + codes.count("OK") + codes.count("DEADLINE_EXCEEDED") == 240
    assert codes.count("OK") >= 6


async def test_a_caller_that_never_sends_its_message_holds_its_place_no_longer_than_a_call_may_take(
    binding: Binding,
) -> None:
    async with world_of(binding, max_call_secs=0.05) as world:
        silent = world.channel.stream_unary("/test.Service/Ask")(timeout=20)
        assert (await silent.code()).name == "DEADLINE_EXCEEDED"
        assert await silent.details() == "deadline passed before the scores were there"
        assert world.told.of("in_flight")[-1] == (0, 0)


async def test_a_call_without_a_message_ends(binding: Binding) -> None:
    async with world_of(binding) as world:
        empty = world.channel.stream_unary("/test.Service/Ask")(timeout=20)
        await empty.done_writing()
        assert (await empty.code()).name == "INVALID_ARGUMENT"
        assert await empty.details() == "the call brings no message"
        assert world.told.of("in_flight")[-1] == (0, 0)
        assert world.began == []


async def test_a_message_that_is_too_large_leaves_no_trace_in_the_log(
    binding: Binding, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with world_of(binding, max_message_bytes=1024) as world:
            code, text, _ = await refusal(world.ask(b"x" * 5000))
            assert caplog.records == []
    assert (code, text.split(" (")[0]) == ("RESOURCE_EXHAUSTED", "SERVER: Received message larger than max")


async def test_metadata_that_is_too_large_is_refused(binding: Binding) -> None:
    async with world_of(binding, max_metadata_bytes=4096) as world:
        world.go_on.set()
        await world.ask(metadata=[("note", "x" * 3000)])
        code, _, _ = await refusal(world.ask(metadata=[("note", "x" * 5000)]))
    assert code == "RESOURCE_EXHAUSTED"


# Envoy's bounds on a connection are those that it was started with.
@pytest.mark.parametrize("ours", [Binding(), Binding(http2=True)], ids=["grpcio", "http2"])
async def test_calls_beyond_what_one_connection_may_have_never_run_and_take_nobodys_place(
    ours: Binding,
) -> None:
    async with world_of(ours, max_concurrent_streams=2) as world:
        calls = [world.ask() for _ in range(4)]
        await world.running(2)
        # Another connection has places of its own.
        async with grpc.aio.insecure_channel(world.address, [("grpc.use_local_subchannel_pool", 1)]) as other:
            mine = asyncio.ensure_future(
                other.unary_unary("/test.Service/Ask")(REQUEST(name="mine").SerializeToString())
            )
            await world.running(3)
            assert [message.name for message in world.began] == ["", "", "mine"]
            world.go_on.set()
            await mine
            codes = {(await call.code()).name for call in calls}
    assert "OK" in codes
    # gRPC refuses what comes while it clears streams away.
    assert codes <= {"OK", "UNAVAILABLE"}


async def test_one_stream_has_no_more_bytes_on_its_way_than_one_message_may_have(binding: Binding) -> None:
    async with world_of(binding, max_message_bytes=2000) as world:
        stream = world.channel.stream_stream("/test.Service/Stream")(timeout=20)
        for _ in range(4):
            await stream.write(REQUEST(name="x" * 900).SerializeToString())
        await stream.done_writing()
        await world.running(2)
        assert await world.channel.unary_unary("/grpc.health.v1.Health/Check")(b"") == b"\x08\x02"
        assert max(size for _, size in world.told.of("in_flight")) == 2 * 903
        world.go_on.set()
        answers = [await stream.read() for _ in range(4)]
        assert [RESPONSE.FromString(answer).ready for answer in answers] == [True] * 4
        assert max(size for _, size in world.told.of("in_flight")) == 2 * 903


async def test_a_stream_that_comes_of_age_ends_once_its_answers_are_out(binding: Binding) -> None:
    async with world_of(binding, max_connection_age_secs=0.2) as world:
        stream = world.channel.stream_stream("/test.Service/Stream")(timeout=20)
        await stream.write(b"")
        await world.running(1)
        await asyncio.sleep(0.3)
        world.go_on.set()
        assert RESPONSE.FromString(await stream.read()).ready
        assert (await stream.code()).name == "UNAVAILABLE"
        assert (await stream.details()).startswith("the stream has reached the age")
