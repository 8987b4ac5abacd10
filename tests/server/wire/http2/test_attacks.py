"""What has brought HTTP/2 servers down: what is held and done for it is bounded, and others are served.

The bounds are counts and bytes, never times. Floods of settings, pings and CONTINUATION are in
test_connection.py, what refused calls take of windows in test_refusing.py.
"""

import asyncio
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from server.wire.http2 import listener
from server.wire.http2.connection import Connection
from server.wire.http2.frames import Http2Error
from server.wire.http2.header_blocks import HeaderBlocks
from server.wire.http2.lifetime import ConnectionLimits
from server.wire.http2.stream import CallStream
from server.wire.http2.strikes import MOST_STRIKES
from tests.server.wire.http2.conformance import CALM, COMPRESSION
from tests.server.wire.http2.raw_client import (
    CONTINUATION,
    GOAWAY,
    HOLD,
    PRIORITY,
    RST_STREAM,
    WAIT_SECS,
    Served,
    asked,
    block,
    data,
    frame,
    message,
    opened,
    reset,
    served,
    settings,
    text,
    window,
)
from tests.server.wire.http2.talk import START, TRAILERS, Talk, body, kinds, settle

FLOOD = MOST_STRIKES + 1000
WRONG_LENGTH = block("/test.Service/Hold", text("content-length", "1"))
LARGE = message(16_000)
CONNECTIONS = 200


@pytest.fixture(scope="module", name="server")
def fixture_server() -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        # What is counted by the second is forgiven seldom, for machines on which a flood takes seconds.
        patch.setattr(listener, "LOOK_SECS", 1000.0)
        patch.setattr(listener, "LOOKS", 1)
        with served() as server:
            yield server


def waiting_bytes(connection: Connection) -> int:
    transport: Any = connection._line._transport  # noqa: SLF001
    return int(transport.get_write_buffer_size())


def check_others_are_served(server: Served) -> None:
    with server.client() as other:
        other.send(asked(1))
        assert other.until_told(1).headers["grpc-status"] == "0"


FLOODS = {
    # CVE-2023-44487, and CVE-2025-8671, where frames have the server do the resetting.
    "calls that are reset": [opened(n, HOLD) + reset(n) for n in range(1, 2 * FLOOD, 2)],
    "calls that bring too much": [
        opened(n, WRONG_LENGTH) + data(n, b"ab", flags=0) for n in range(1, 2 * FLOOD, 2)
    ],
    "calls of no headers": [opened(n, b"") for n in range(1, 2 * FLOOD, 2)],
    "DATA of nothing": [opened(1, HOLD), *[data(1, b"", flags=0)] * FLOOD],
    "DATA of nothing on what has ended": [opened(1, b""), *[data(1, b"", flags=0)] * FLOOD],
    "priorities": [frame(PRIORITY, 0, 1, bytes(5))] * FLOOD,
    "frames that nobody knows": [frame(0x77, 0, 0)] * FLOOD,
    "goodbyes": [frame(GOAWAY, 0, 0, bytes(8))] * FLOOD,
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_the_connection_and_leaves_nothing_behind(server: Served, name: str) -> None:
    with server.client() as client:
        client.send(*FLOODS[name])
        assert client.until_end() in {CALM, None}  # it may be lost: the rest of the flood wasn't read
    server.until(lambda: not server.transport._host._connections)  # noqa: SLF001
    server.until_running(0)
    check_others_are_served(server)


def test_a_mistake_on_one_stream_that_ends_the_connection_ends_its_calls(server: Served) -> None:
    with server.client() as client:
        client.send(*(opened(n, HOLD) + data(n) for n in range(1, 100, 2)))
        server.until_running(50)
        client.send(window(1, 0))
        assert client.until_end() == 1
    server.until_running(0)


async def test_small_pieces_of_a_request_are_held_as_one_and_take_what_they_say() -> None:
    talk = Talk()
    talk.send(talk.head(1))
    await settle()
    tracemalloc.start()
    try:
        for _ in range(2):
            talk.send(talk.data(1, b"ab", ended=False) * 4096)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Each piece by itself would take some fifty.
    assert held < 2**17
    assert len((await talk.calls[0].receive())["body"]) == 2**14


async def test_padding_alone_is_room_again_once_the_request_is_read() -> None:
    talk = Talk()
    talk.send(talk.head(1))
    await settle()
    talk.send(*[frame(0, 8, 1, b"\xff" + bytes(255))] * 3000)
    async with asyncio.timeout(WAIT_SECS):
        assert (await talk.calls[0].receive())["body"] == b""
    assert talk.came() == [(8, 0, 1, (3000 * 256).to_bytes(4))]


def test_few_bytes_that_stand_for_many_headers_take_no_memory() -> None:
    blocks = HeaderBlocks(16 * 2**10)
    blocks.pairs(b"\x40\x01a\x7f\xa1\x1e" + b"x" * 4000)  # an entry of the table, as large as can be
    tracemalloc.start()
    try:
        with pytest.raises(Http2Error) as raised:
            blocks.pairs(b"\xbe" * 16_000)  # 64 MB of it
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (raised.value.code, peak < 2**20) == (COMPRESSION, True)


async def answer_much(stream: CallStream) -> None:
    await stream.send(START)
    await stream.send(body(b"x" * 100_000))
    await stream.send(TRAILERS)


@pytest.mark.parametrize("of_each", [True, False])
async def test_a_window_that_grows_by_a_byte_wakes_one_answer(
    monkeypatch: pytest.MonkeyPatch, *, of_each: bool
) -> None:
    waits = list[object]()
    wait = CallStream._until_room  # noqa: SLF001

    async def counted(stream: CallStream) -> None:
        waits.append(stream)
        await wait(stream)

    monkeypatch.setattr(CallStream, "_until_room", counted)
    talk = Talk()
    if of_each:
        talk.send(settings((4, 0)))
    numbers = range(1, 200, 2)
    talk.answers = dict.fromkeys(numbers, answer_much)
    talk.send(*(talk.head(number) for number in numbers))
    await settle()
    assert len(waits) == 100
    talk.came()
    for _ in range(10):
        talk.send(window(1 if of_each else 0, 1))
        await settle()
    # One has sent a byte, and waits again.
    assert len(waits) == 110
    assert [(kind, payload) for kind, _, _, payload in talk.came()] == [(0, b"x")] * 10


async def test_answers_that_nobody_takes_are_given_up() -> None:
    talk, resets = Talk(ConnectionLimits(answer_secs=0.0)), 0
    numbers = range(1, 200, 2)
    talk.answers = dict.fromkeys(numbers, answer_much)
    talk.send(settings((4, 0)), *(talk.head(number) for number in numbers))
    async with asyncio.timeout(WAIT_SECS):
        while resets < 100:
            await asyncio.sleep(0)
            resets += kinds(talk.came()).count(RST_STREAM)


async def test_answers_wait_as_long_as_others_of_the_connection_go_on() -> None:
    talk = Talk(ConnectionLimits(answer_secs=0.0))
    talk.answers = dict.fromkeys((1, 3), answer_much)
    talk.send(settings((4, 0)), talk.head(1), talk.head(3))
    for _ in range(100):
        talk.connection._line.sent(1)  # noqa: SLF001 - of another one, as it were
        await asyncio.sleep(0)
    assert RST_STREAM not in kinds(talk.came())
    async with asyncio.timeout(WAIT_SECS):
        while RST_STREAM not in kinds(talk.came()):
            await asyncio.sleep(0)


async def test_what_comes_after_a_mistake_is_not_read() -> None:
    talk = Talk()
    talk.send(window(0, 0))
    assert talk.failed()[0] == 1
    talk.send(talk.head(1), talk.data(1, b""))
    await settle()
    assert (talk.came(), talk.calls) == ([], [])


async def test_calls_given_up_before_they_begin_leave_no_work() -> None:
    talk = Talk()
    for number in range(1, 20, 2):
        talk.send(talk.head(number))
        talk.send(reset(number))
    await settle()
    assert talk.calls == []  # and Python warns of nothing that wasn't awaited


def test_who_reads_nothing_is_not_read_and_what_waits_for_it_is_bounded() -> None:
    with served(max_concurrent_streams=100) as server, server.client() as client:
        client.until_pong()
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(settings((4, 2**30)), window(0, 2**30))
        [connection] = server.connections()

        def attack() -> None:
            with suppress(OSError):
                for number in range(1, 2**30, 2):
                    client.send(opened(number), data(number, LARGE))

        thread = threading.Thread(target=attack)
        thread.start()
        try:
            server.until(lambda: bool(connection._line._full))  # noqa: SLF001
            check_others_are_served(server)
            held = server.asked(lambda: waiting_bytes(connection))
            # As many answers as there may be calls, and once more as many.
            assert held < 2 * 100 * len(LARGE) + 2**18
            check_others_are_served(server)
            assert server.asked(lambda: waiting_bytes(connection)) <= held
        finally:
            client.socket.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_many_who_come_at_once_and_say_nothing_wait_for_a_server_that_is_busy(server: Served) -> None:
    most = Path("/proc/sys/net/core/somaxconn")
    if not most.exists() or int(most.read_text()) < CONNECTIONS:
        pytest.skip("the kernel lets fewer connections wait")
    busy, go_on = threading.Event(), threading.Event()

    def block_loop() -> None:
        busy.set()
        go_on.wait(WAIT_SECS)

    with ExitStack() as silent:
        server.loop.call_soon_threadsafe(block_loop)
        assert busy.wait(WAIT_SECS)
        try:
            for _ in range(CONNECTIONS):
                silent.enter_context(socket.create_connection(("127.0.0.1", server.port), WAIT_SECS))
        finally:
            go_on.set()
        server.until(lambda: len(server.transport._host._connections) == CONNECTIONS)  # noqa: SLF001
        check_others_are_served(server)


def test_a_block_of_64_kib_costs_one_call_and_a_longer_one_the_connection(server: Served) -> None:
    part = b"\0\1a\x7f\x81\x7c" + bytes(16_000)  # a header with a value of 16000 bytes: malformed, at that
    with server.client() as client:
        rest = [frame(CONTINUATION, 0, 1, part)] * 2
        client.send(opened(1, block() + part, flags=0), *rest, frame(CONTINUATION, 4, 1, part))
        assert client.until_told(1).reset == 1
        rest = [frame(CONTINUATION, 0, 3, part)] * 4
        client.send(opened(3, block(), flags=0), *rest, frame(CONTINUATION, 0, 3, part))
        assert client.until_end() == CALM
    check_others_are_served(server)
