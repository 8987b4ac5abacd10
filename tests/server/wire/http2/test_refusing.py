"""Calls that are refused at their headers, and windows that keep what they bring with the client."""

import asyncio
import select
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import Mock

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.admission import Admission, AdmissionLimits
from server.wire.call import Call
from server.wire.gate import Gate
from server.wire.health import Health
from server.wire.http2 import crowd, crowding, frames
from server.wire.http2.line import (
    CONNECTION_WINDOW_BYTES,
    NARROW_WINDOW_BYTES,
    RESTING_BYTES,
    STREAM_WINDOW_BYTES,
    Line,
)
from server.wire.http2.stream import CallStream
from server.wire.messages import message_class
from server.wire.method import Method
from tests.server.wire.http2.talk import START, TRAILERS, Talk, body, settle
from tests.support.bindings import Binding
from tests.support.http2_peer import SETTINGS, connected
from tests.support.observers import Recorder

FULL = b"x" * frames.FRAME_BYTES
REQUEST = message_class("inference.ModelReadyRequest")
RESPONSE = message_class("inference.ModelReadyResponse")


async def test_a_refused_call_is_answered_at_once_and_what_still_comes_of_it_is_room_again() -> None:
    talk = Talk()
    talk.refusal = b"no"
    talk.send(talk.head(1), talk.data(1, FULL, ended=False))
    assert talk.came() == [
        (frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, b"no"),
        (frames.RST_STREAM, 0, 1, bytes(4)),
    ]
    for _ in range(CONNECTION_WINDOW_BYTES // len(FULL)):
        talk.send(talk.data(1, FULL, ended=False))
    talk.send(talk.data(1, b"", ended=True), frames.reset(1, frames.Code.NO_ERROR))
    await settle()
    room = CONNECTION_WINDOW_BYTES // 2
    assert talk.came() == [(frames.WINDOW_UPDATE, 0, 0, room.to_bytes(4, "big"))] * 2
    assert (talk.calls, talk.socket.closed) == ([], False)


async def test_a_refused_call_that_brings_nothing_needs_no_reset() -> None:
    talk = Talk()
    talk.refusal = b"no"
    talk.send(talk.head(1, flags=frames.END_HEADERS | frames.END_STREAM))
    assert talk.came() == [(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, b"no")]


async def test_what_one_read_brings_is_answered_in_one_write() -> None:
    talk, writes = Talk(), list[bytes]()
    talk.socket.write = writes.append  # type: ignore[method-assign,assignment]
    talk.refusal = b"no"
    talk.send(talk.head(1), talk.head(3), frames.frame(frames.PING, 0, 0, bytes(8)))
    assert len(writes) == 1


async def test_in_a_crowd_clients_that_were_read_are_read_again_a_moment_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    talk = Talk()
    talk.send(talk.head(1))
    await settle()
    assert talk.socket.least == 1
    talk.turn(here=True)
    talk.send(talk.head(3))
    # Others whose bytes are here come first.
    assert talk.socket.least == 1
    await settle()
    assert talk.socket.least == RESTING_BYTES
    await asyncio.sleep(2 * crowd.REST_SECS)
    assert talk.socket.least == 1
    monkeypatch.setattr(crowd, "MOST_RESTING", 0)
    talk.send(talk.head(5))
    await settle()
    assert talk.socket.least == 1


async def test_a_client_that_hangs_up_meanwhile_is_forgotten() -> None:
    talk = Talk(narrow=True)
    talk.send(talk.head(1))
    await settle()
    talk.socket.closed = True
    await asyncio.sleep(2 * crowd.REST_SECS)
    assert talk.socket.least == RESTING_BYTES
    talk.connection.connection_lost(None)
    talk.socket.closed = False
    talk.crowd.was_read()
    await asyncio.sleep(2 * crowd.REST_SECS)
    assert talk.socket.least == RESTING_BYTES


async def test_of_a_real_socket_little_wakes_nobody_while_it_rests() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    taken, _ = server.accept()
    with server, client, taken:
        transport = Mock(get_extra_info=Mock(return_value=taken))
        line = Line(1.0)
        line.opened(transport)
        line.rest(resting=True)
        client.sendall(bytes(NARROW_WINDOW_BYTES))
        assert select.select([taken], [], [], 0.05)[0] == []
        line.rest(resting=False)
        assert select.select([taken], [], [], 10)[0] == [taken]
        line.rest(resting=True)
        client.sendall(bytes(RESTING_BYTES))
        assert select.select([taken], [], [], 10)[0] == [taken]


async def test_what_is_written_before_the_loop_goes_on_leaves_in_one_piece() -> None:
    talk, writes = Talk(), list[bytes]()

    async def answer(stream: CallStream) -> None:
        await ready.wait()
        for part in (START, body(b"x"), TRAILERS):
            await stream.send(part)

    ready = asyncio.Event()
    for number in (1, 3, 5):
        talk.answers[number] = answer
        talk.send(talk.head(number, flags=frames.END_HEADERS | frames.END_STREAM))
    await settle()
    talk.socket.write = writes.append  # type: ignore[method-assign,assignment]
    ready.set()
    await settle()
    talk.socket.written += writes[0]
    assert len(writes) == 1
    assert [number for kind, _, number, _ in talk.came() if kind == frames.DATA] == [1, 3, 5]


class Client:
    """How much a client may send of each call: RFC 9113, section 6.9."""

    def __init__(self, talk: Talk) -> None:
        self.talk, self.first = talk, 0
        self.windows: dict[int, int] = {}
        self.next = 1
        self.hear([frame for frame in talk.hello if frame[0] == frames.SETTINGS])

    def hear(self, came: list[tuple[int, int, int, bytes]]) -> None:
        for kind, flags, number, payload in came:
            if kind == frames.SETTINGS and not flags:
                first = dict(zip(payload[1::6], _values(payload), strict=True))[frames.INITIAL_WINDOW]
                self.windows = {each: window + first - self.first for each, window in self.windows.items()}
                self.first = first
            elif kind == frames.WINDOW_UPDATE and number in self.windows:
                self.windows[number] += int.from_bytes(payload, "big")

    def open(self) -> None:
        self.windows[self.next] = self.first
        self.talk.send(self.talk.head(self.next))
        self.next += 2

    def send(self, number: int, size: int) -> None:
        size = min(size, self.windows[number])
        if size > 0:
            self.windows[number] -= size
            self.talk.send(self.talk.data(number, b"x" * size, ended=False))


def _values(payload: bytes) -> list[int]:
    return [int.from_bytes(payload[at + 2 : at + 6], "big") for at in range(0, len(payload), 6)]


STEPS = st.one_of(
    st.just(("open", 0, 0)),
    st.just(("turn", 0, 0)),
    st.just(("hear", 0, 0)),
    st.tuples(st.just("send"), st.integers(0, 5), st.integers(1, frames.FRAME_BYTES)),
)


@given(st.booleans(), st.lists(STEPS, max_size=40))
async def test_whoever_is_taken_may_send_as_much_as_ever_however_the_crowd_comes_and_goes(
    narrow: bool,
    steps: list[tuple[str, int, int]],
) -> None:
    talk = Talk(narrow=narrow)
    client, sent = Client(talk), dict[int, int]()
    for step, which, size in steps:
        if step == "open":
            client.open()
        elif step == "turn":
            narrow = not narrow
            talk.turn(here=narrow)
        elif step == "hear":
            client.hear(talk.came())
        elif client.windows:
            number = list(client.windows)[which % len(client.windows)]
            before = client.windows[number]
            client.send(number, size)
            sent[number] = sent.get(number, 0) + before - client.windows[number]
    client.hear(talk.came())
    assert not talk.socket.closed
    assert client.first == (NARROW_WINDOW_BYTES if narrow else STREAM_WINDOW_BYTES)
    for number, window in client.windows.items():
        assert STREAM_WINDOW_BYTES <= window + sent.get(number, 0) <= 2 * STREAM_WINDOW_BYTES
        # And all of that is taken.
        for _ in range(window // len(FULL)):
            talk.send(talk.data(number, FULL, ended=False))
    assert not talk.socket.closed or len(client.windows) * STREAM_WINDOW_BYTES >= CONNECTION_WINDOW_BYTES / 2
    await settle()
    talk.connection.connection_lost(None)
    await settle()


async def test_a_call_that_ended_before_the_crowd_came_is_given_no_room() -> None:
    talk = Talk()

    async def answer(stream: CallStream) -> None:
        await asyncio.Event().wait()
        for part in (START, body(b"xyz"), TRAILERS):
            await stream.send(part)

    talk.answers[1] = answer
    talk.send(talk.head(1), talk.data(1, b"a"))
    await settle()
    talk.turn(here=True)
    ((kind, _, _, payload),) = talk.came()
    assert (kind, payload.hex()) == (frames.SETTINGS, "000400000400")


class World:
    """A real server with one method for scores, as long as the test says it would take."""

    def __init__(self) -> None:
        self.told, self.expected, self.address = Recorder(), 0.0, ""
        self.go_on = asyncio.Event()

    async def answer(self, message: Any, _call: Call) -> Any:
        await self.go_on.wait()
        return RESPONSE(ready=len(message.name) == 3 * STREAM_WINDOW_BYTES)


@asynccontextmanager
async def world_of(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(crowding, "WORTH", 1.0)
    monkeypatch.setattr(crowd, "EVERY_SECS", 0.001)
    world = World()
    methods = [Method("test.Service", "Score", REQUEST, RESPONSE, world.answer, scores=True)]
    gate = Gate(admission=Admission(AdmissionLimits(), world.told, lambda _: world.expected))
    async with (
        asyncio.timeout(60),
        Binding(http2=True).serve(methods, Health(), observer=world.told, gate=gate) as (_, world.address),
    ):
        yield world


async def test_large_messages_of_grpcs_own_client_arrive_while_and_after_others_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = REQUEST(name="x" * 3 * STREAM_WINDOW_BYTES).SerializeToString()
    async with (
        world_of(monkeypatch) as world,
        connected(world.address) as peer,
        grpc.aio.insecure_channel(world.address, [("grpc.use_local_subchannel_pool", 1)]) as channel,
    ):
        score = channel.unary_unary("/test.Service/Score")
        await peer.until(SETTINGS, answers=True)
        before = asyncio.ensure_future(score(data, timeout=50))
        while not world.told.of("in_flight"):
            await asyncio.sleep(0.001)

        world.expected = 100.0
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await score(data, timeout=50)
        assert (raised.value.code().name, raised.value.details().split(":")[0]) == (
            "RESOURCE_EXHAUSTED",
            "server is at its limit",
        )
        await peer.until(SETTINGS, answers=True)
        world.expected = 0.0
        while_narrow = asyncio.ensure_future(score(data, timeout=50))
        await peer.until(SETTINGS, answers=True)
        after = asyncio.ensure_future(score(data, timeout=50))
        world.go_on.set()
        answers = await asyncio.gather(before, while_narrow, after)

    assert [RESPONSE.FromString(answer).ready for answer in answers] == [True] * 3
    assert [call[2]["code"] for call in world.told.calls if call[0] == "handled"] == [
        *("RESOURCE_EXHAUSTED", "OK", "OK", "OK"),
    ]
