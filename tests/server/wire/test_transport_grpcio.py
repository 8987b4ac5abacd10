import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from ensemble.errors import OverloadedError, UnavailableError
from server.wire.call import Call
from server.wire.health import Health
from server.wire.messages import message_class
from server.wire.method import Method
from server.wire.transport_grpcio import LINGER_SECS, GrpcTransport, TransportOptions

REQUEST = message_class("inference.ModelReadyRequest")
RESPONSE = message_class("inference.ModelReadyResponse")
DRAINING = "GRPC server is shutting down and has stopped accepting new requests."
Function = Callable[[Any, Call], Awaitable[Any]]


class Finished:
    """What the observer was told: (method, model, version, code) of each call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str, str]] = []
        self.changed = asyncio.Event()

    def handled(
        self, *, method: str, model: str, version: str, code: str, seconds: float, calls: int = 1
    ) -> None:
        assert (seconds >= 0, calls) == (True, 1)
        self.calls.append((method, model, version, code))
        self.changed.set()


@asynccontextmanager
async def served(function: Function, **options: Any) -> AsyncIterator[tuple[GrpcTransport, Any, Finished]]:
    """A transport with one method, a stub for it, and what it was told."""
    finished = Finished()
    method = Method("test.Service", "Ask", REQUEST, RESPONSE, function)
    options = {"address": "127.0.0.1:0", **options}
    transport = GrpcTransport([method], Health(), observer=finished, options=TransportOptions(**options))
    port = await transport.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            yield transport, channel.unary_unary("/test.Service/Ask"), finished
        finally:
            await transport.stop(0)


async def ready(message: Any, call: Call) -> Any:
    call.answered_by(message.name, 3)
    return RESPONSE(ready=True)


async def failure(awaitable: Awaitable[Any]) -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await awaitable
    return raised.value.code().name, raised.value.details()


async def test_a_call_is_answered_and_counted() -> None:
    async with served(ready) as (_, ask, finished):
        answer = await ask(REQUEST(name="m").SerializeToString())

    assert RESPONSE.FromString(answer).ready
    assert finished.calls == [("Ask", "m", "3", "OK")]


async def test_an_error_is_a_code_and_a_text_and_counted_once() -> None:
    async def full(_message: Any, _call: Call) -> Any:
        raise OverloadedError("8 rows wait")

    async with served(full) as (_, ask, finished):
        assert await failure(ask(b"")) == ("UNAVAILABLE", "Exceeds maximum queue size; 8 rows wait")

    assert finished.calls == [("Ask", "", "", "UNAVAILABLE")]


async def test_an_unexpected_error_keeps_its_text_to_itself() -> None:
    async def broken(_message: Any, _call: Call) -> Any:
        raise KeyError("/etc/secret")

    async with served(broken) as (_, ask, finished):
        assert await failure(ask(b"")) == ("INTERNAL", "internal error; see the server's log")

    assert finished.calls == [("Ask", "", "", "INTERNAL")]


async def test_bytes_that_are_no_message_are_the_callers_mistake() -> None:
    async with served(ready) as (_, ask, finished):
        code, text = await failure(ask(b"\xff\xff"))

    assert (code, text) == ("INVALID_ARGUMENT", "the bytes are not a ModelReadyRequest")
    assert finished.calls == [("Ask", "", "", "INVALID_ARGUMENT")]


async def test_a_message_over_the_limit_is_refused_and_one_under_it_is_not() -> None:
    async with served(ready, max_message_bytes=5_000_000) as (_, ask, _finished):
        await ask(REQUEST(version="v" * 4_900_000).SerializeToString())
        code, _ = await failure(ask(REQUEST(version="v" * 5_100_000).SerializeToString()))

    assert code == "RESOURCE_EXHAUSTED"


async def test_the_callers_deadline_and_metadata_reach_the_method_and_the_cap_holds() -> None:
    calls: list[tuple[float, Call]] = []

    async def note(_message: Any, call: Call) -> Any:
        calls.append((call.deadline - asyncio.get_running_loop().time(), call))
        return RESPONSE()

    async with served(note, max_call_secs=7) as (_, ask, _finished):
        await ask(b"", timeout=3, metadata=(("tenant", "a"),))
        await ask(b"", timeout=100)
        await ask(b"")

    assert 2 < calls[0][0] <= 3.1  # counted on a wall clock, which may be set meanwhile
    assert calls[0][1].metadata["tenant"] == "a"
    assert [6.5 < left <= 7 for left, _ in calls[1:]] == [True, True]


async def test_a_call_past_the_cap_is_ended_by_the_server() -> None:
    async with served(hang, max_call_secs=0.05) as (_, ask, finished):
        code, text = await failure(ask(b""))

    assert (code, text) == ("DEADLINE_EXCEEDED", "deadline passed before the scores were there")
    assert finished.calls == [("Ask", "", "", "DEADLINE_EXCEEDED")]


async def test_a_method_may_have_a_cap_of_its_own() -> None:
    left: list[float] = []

    async def note(_message: Any, call: Call) -> Any:
        left.append(call.deadline - asyncio.get_running_loop().time())
        return RESPONSE()

    method = Method("test.Service", "Ask", REQUEST, RESPONSE, note, longest_secs=900)
    options = TransportOptions(address="127.0.0.1:0", max_call_secs=7)
    transport = GrpcTransport([method], Health(), observer=Finished(), options=options)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{await transport.start()}") as channel:
        await channel.unary_unary("/test.Service/Ask")(b"")
        await channel.unary_unary("/test.Service/Ask")(b"", timeout=100)
    await transport.stop(0)

    assert 890 < left[0] <= 900
    assert 90 < left[1] < 102  # gRPC rounds long ones up


async def hang(_message: Any, _call: Call) -> Any:
    await asyncio.Event().wait()


@pytest.mark.parametrize(("timeout", "code"), [(None, "CANCELLED"), (0.1, "DEADLINE_EXCEEDED")])
async def test_a_caller_that_goes_away_cancels_the_method_and_is_counted_once(
    timeout: float | None,  # noqa: ASYNC109 - the client's, not a wait of ours
    code: str,
) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def wait(_message: Any, _call: Call) -> Any:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with served(wait) as (_, ask, finished):
        call = ask(b"", timeout=timeout)
        await asyncio.wait_for(began.wait(), 5)
        if timeout is None:
            call.cancel()
        with pytest.raises((asyncio.CancelledError, grpc.aio.AioRpcError)):
            await call
        await asyncio.wait_for(ended.wait(), 5)
        await asyncio.wait_for(finished.changed.wait(), 5)

    assert finished.calls == [("Ask", "", "", code)]


async def test_a_drain_refuses_new_calls_and_finishes_those_that_run() -> None:
    began, release = asyncio.Event(), asyncio.Event()

    async def slow(_message: Any, _call: Call) -> Any:
        began.set()
        await release.wait()
        return RESPONSE(ready=True)

    async with served(slow) as (transport, ask, finished):
        running = asyncio.ensure_future(ask(b""))
        await asyncio.wait_for(began.wait(), 5)
        stopping = asyncio.create_task(transport.stop(10))
        await asyncio.sleep(0)
        assert await failure(ask(b"")) == ("UNAVAILABLE", DRAINING)
        release.set()
        assert RESPONSE.FromString(await running).ready
        await asyncio.wait_for(stopping, 5)

    assert [code for *_, code in finished.calls] == ["UNAVAILABLE", "OK"]


async def test_a_stop_under_load_loses_no_call() -> None:
    async def briefly(_message: Any, _call: Call) -> Any:
        await asyncio.sleep(0.005)
        return RESPONSE(ready=True)

    async def keep_asking(ask: Any) -> list[str]:
        answers: list[str] = []
        while True:
            try:
                await ask(b"")
            except grpc.aio.AioRpcError as error:
                return [*answers, error.code().name]
            answers.append("OK")

    async with served(briefly) as (transport, ask, finished):
        callers = [asyncio.create_task(keep_asking(ask)) for _ in range(32)]
        while len(finished.calls) < 200:
            await asyncio.sleep(0.001)
        await asyncio.wait_for(transport.stop(10), 5)
        heard = [answer for answers in await asyncio.gather(*callers) for answer in answers]

    assert heard.count("UNAVAILABLE") == 32
    assert heard.count("OK") == sum(code == "OK" for *_, code in finished.calls) >= 200
    assert len(heard) == heard.count("OK") + 32


async def test_callers_that_ask_again_without_pause_are_all_told_to_go_elsewhere() -> None:
    codes: list[str] = []

    async def keep_asking(ask: Any) -> None:
        while True:
            try:
                await ask(b"")
            except grpc.aio.AioRpcError as error:
                codes.append(error.code().name)
                if DRAINING not in (error.details() or ""):
                    return  # Nobody listens any more.

    async with served(ready) as (transport, ask, finished):
        callers = [asyncio.create_task(keep_asking(ask)) for _ in range(16)]
        while len(finished.calls) < 100:
            await asyncio.sleep(0.001)
        started = asyncio.get_running_loop().time()
        await asyncio.wait_for(transport.stop(10), 5)
        took = asyncio.get_running_loop().time() - started
        await asyncio.wait_for(asyncio.gather(*callers), 10)

    assert set(codes) == {"UNAVAILABLE"}
    assert took < LINGER_SECS


async def test_a_call_that_outlasts_the_grace_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    async with served(hang) as (transport, ask, finished):
        running = asyncio.ensure_future(ask(b""))
        while transport.calls.running == 0:
            await asyncio.sleep(0.001)
        await asyncio.wait_for(transport.stop(0.05), 5)
        await failure(running)
        await asyncio.wait_for(finished.changed.wait(), 5)

    assert "1 calls still run after 0.05 s of grace" in caplog.text


async def test_a_method_that_is_not_bound_is_unimplemented() -> None:
    transport = GrpcTransport([], Health(), observer=Finished(), options=TransportOptions("127.0.0.1:0"))
    port = await transport.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert (await failure(channel.unary_unary("/test.Service/Ask")(b"")))[0] == "UNIMPLEMENTED"
    await transport.stop(0)


async def test_a_port_in_use_is_a_clear_error() -> None:
    first = GrpcTransport([], Health(), observer=Finished(), options=TransportOptions("127.0.0.1:0"))
    port = await first.start()
    second = GrpcTransport([], Health(), observer=Finished(), options=TransportOptions(f"127.0.0.1:{port}"))

    with pytest.raises(UnavailableError, match=rf"^can't listen on 127\.0\.0\.1:{port}: in use"):
        await second.start()

    await second.stop(0)
    await first.stop(0)
