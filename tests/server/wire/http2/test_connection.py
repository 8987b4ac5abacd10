"""What a connection takes, what it refuses, and that nothing a client sends grows without bound."""

import asyncio
from collections.abc import Callable

import pytest

from server.wire.http2 import frames
from server.wire.http2.frames import Code, frame, settings
from server.wire.http2.lifetime import ConnectionLimits
from server.wire.http2.line import CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES
from server.wire.http2.stream import CallStream
from server.wire.http2.strikes import MOST_STRIKES
from tests.server.wire.http2.talk import START, TRAILERS, Talk, body, kinds, settle

FULL = b"x" * frames.FRAME_BYTES


async def test_it_greets_with_its_bounds() -> None:
    talk = Talk(ConnectionLimits(streams=7, header_bytes=4096), greeted=False)
    (kind, _, _, payload), (_, _, number, more) = talk.hello
    assert (kind, payload.hex()) == (frames.SETTINGS, "000300000007000400100000000600001000")
    assert (number, int.from_bytes(more, "big")) == (0, CONNECTION_WINDOW_BYTES - 65535)


async def test_settings_and_pings_are_answered_byte_by_byte_too() -> None:
    talk = Talk(greeted=False)
    for byte in frames.PREFACE + settings({}) + frame(frames.PING, 0, 0, b"12345678"):
        talk.send(bytes([byte]))
    assert talk.came() == [(frames.SETTINGS, frames.ACK, 0, b""), (frames.PING, frames.ACK, 0, b"12345678")]


async def test_an_answer_leaves_in_one_piece_with_its_trailers() -> None:
    talk = Talk()

    async def answer(stream: CallStream) -> None:
        event = await stream.receive()
        assert (event["body"], event["more_body"]) == (b"abc", False)
        for part in (START, body(b"xyz"), TRAILERS):
            assert not talk.socket.written
            await stream.send(part)

    talk.answers[1] = answer
    talk.send(talk.head(1), talk.data(1, b"a", ended=False), talk.data(1, b"bc"))
    await settle()
    assert talk.came() == [
        (frames.HEADERS, frames.END_HEADERS, 1, b"\x88\x00\x01a\x01b"),
        (frames.DATA, 0, 1, b"xyz"),
        (frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, b"\x00\x0bgrpc-status\x010"),
    ]


async def test_headers_alone_end_the_stream_themselves() -> None:
    talk = Talk()

    async def answer(stream: CallStream) -> None:
        await stream.send({**START, "trailers": False})
        await stream.send(body(b""))

    talk.answers[1] = answer
    talk.send(talk.head(1))
    await settle()
    # The client hasn't ended its request, which nobody will read.
    assert talk.came() == [
        (frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, b"\x88\x00\x01a\x01b"),
        (frames.RST_STREAM, 0, 1, bytes(4)),
    ]


async def test_an_answer_waits_for_the_windows_and_the_size_of_frames() -> None:
    talk = Talk()

    async def answer(stream: CallStream) -> None:
        await stream.send(START)
        await stream.send(body(b"x" * 100_000))
        await stream.send(TRAILERS)

    talk.send(settings({frames.INITIAL_WINDOW: 40_000}))
    talk.came()
    talk.answers[1] = answer
    talk.send(talk.head(1, flags=frames.END_HEADERS | frames.END_STREAM))
    await settle()
    sizes = [len(payload) for kind, _, _, payload in talk.came() if kind == frames.DATA]
    assert sizes == [16384, 16384, 7232]

    talk.send(settings({frames.INITIAL_WINDOW: 60_000, frames.FRAME_SIZE: 100_000}))
    await settle()
    assert [len(payload) for kind, _, _, payload in talk.came() if kind == frames.DATA] == [20_000]

    talk.send(frames.window_update(1, 10**6))
    await settle()
    # All calls together have had 65,535 bytes.
    assert [len(payload) for _, _, _, payload in talk.came()] == [5535]

    talk.send(frames.window_update(0, 10**6))
    await settle()
    assert kinds(talk.came()) == [frames.DATA, frames.HEADERS]


async def test_a_client_that_does_not_read_is_not_read_and_sent_no_more() -> None:
    talk = Talk()

    async def answer(stream: CallStream) -> None:
        await stream.send(START)
        await stream.send(body(b"x", more=True))

    talk.answers[1] = answer
    talk.connection.pause_writing()
    assert not talk.socket.reading
    talk.send(talk.head(1))
    await settle()
    assert kinds(talk.came()) == [frames.HEADERS]
    talk.connection.resume_writing()
    await settle()
    assert talk.socket.reading
    assert frames.DATA in kinds(talk.came())


async def test_room_is_given_as_a_request_is_read_and_what_is_held_is_bounded() -> None:
    talk = Talk()
    talk.send(talk.head(1))
    await settle()
    for _ in range(STREAM_WINDOW_BYTES // len(FULL)):
        talk.send(talk.data(1, FULL, ended=False))
    assert talk.came() == []
    event = await talk.calls[0].receive()
    assert (len(event["body"]), event["more_body"]) == (STREAM_WINDOW_BYTES, True)
    assert talk.came() == [(frames.WINDOW_UPDATE, 0, 1, STREAM_WINDOW_BYTES.to_bytes(4, "big"))]
    for _ in range(STREAM_WINDOW_BYTES // len(FULL)):
        talk.send(talk.data(1, FULL, ended=False))
    talk.send(talk.data(1, b"x", ended=False))
    assert talk.failed() == (Code.FLOW_CONTROL_ERROR, "stream 1 has more than its window")


async def test_what_nobody_read_of_a_call_that_is_given_up_is_room_again() -> None:
    talk = Talk()
    for number in range(1, 201, 2):
        talk.send(talk.head(number))
        await settle()
        for _ in range(20):
            talk.send(talk.data(number, FULL, ended=False))
        talk.send(frames.reset(number, Code.NO_ERROR))
        await settle()
    assert not talk.socket.closed
    assert talk.cancelled == list(range(1, 201, 2))
    given = [
        payload for kind, _, number, payload in talk.came() if kind == frames.WINDOW_UPDATE and not number
    ]
    assert (
        sum(int.from_bytes(payload, "big") for payload in given)
        >= 100 * 20 * len(FULL) - CONNECTION_WINDOW_BYTES
    )


async def test_all_calls_of_a_connection_have_a_window_together() -> None:
    talk = Talk()
    rounds = STREAM_WINDOW_BYTES // len(FULL)
    for number in range(1, 2 * CONNECTION_WINDOW_BYTES // STREAM_WINDOW_BYTES, 2):
        talk.send(talk.head(number), *[talk.data(number, FULL, ended=False)] * rounds)
    assert not talk.socket.closed
    talk.send(talk.head(99), talk.data(99, b"x"))
    assert talk.failed() == (Code.FLOW_CONTROL_ERROR, "more than the window of the connection")


async def test_a_client_that_goes_away_ends_its_calls() -> None:
    talk = Talk()
    talk.send(talk.head(1), talk.head(3))
    await settle()
    talk.connection.connection_lost(None)
    await settle()
    assert (talk.cancelled, talk.peers) == ([1, 3], set())
    with pytest.raises(OSError, match="the client has gone"):
        await talk.calls[0].send(START)
    assert (await talk.calls[0].receive())["type"] == "http.disconnect"


async def test_more_calls_than_may_be_are_refused_each_and_those_that_run_go_on() -> None:
    talk = Talk(ConnectionLimits(streams=2))
    talk.send(talk.head(1), talk.head(3), talk.head(5))
    await settle()
    assert talk.came() == [(frames.RST_STREAM, 0, 5, b"\0\0\0\7")]
    assert [call.number for call in talk.calls] == [1, 3]


async def test_a_call_that_fails_in_the_transport_is_reset() -> None:
    talk = Talk()

    async def fail(_: CallStream) -> None:
        raise KeyError

    talk.answers[1] = fail
    talk.send(talk.head(1))
    await settle()
    assert talk.came() == [(frames.RST_STREAM, 0, 1, b"\0\0\0\2")]


async def test_headers_may_come_in_parts_padded_and_with_a_priority() -> None:
    talk = Talk()
    block = talk.head(1)[9:]
    padded = b"\3" + bytes(5) + block[:10] + b"pad"
    talk.send(frame(frames.HEADERS, frames.PADDED | frames.PRIORITIZED, 1, padded))
    talk.send(frame(frames.CONTINUATION, 0, 1, block[10:20]))
    talk.send(frame(frames.CONTINUATION, frames.END_HEADERS, 1, block[20:]))
    talk.send(frame(frames.DATA, frames.PADDED | frames.END_STREAM, 1, b"\2abc--"))
    await settle()
    assert talk.calls[0].head.path == "/test.Service/Ask"
    assert (await talk.calls[0].receive())["body"] == b"abc"


async def test_trailers_end_a_request_and_unknown_frames_say_nothing() -> None:
    talk = Talk()
    talk.send(talk.head(1), frame(77, 255, 5, b"?"), frame(frames.PRIORITY, 0, 1, bytes(5)))
    trailers = talk.encoder.encode([("a", "b")])
    talk.send(frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, trailers))
    await settle()
    assert (await talk.calls[0].receive())["more_body"] is False


WRONG: dict[str, tuple[Callable[[Talk], bytes], Code]] = {
    "too long a frame": (lambda _: frame(frames.DATA, 0, 1, bytes(16385)), Code.FRAME_SIZE_ERROR),
    "data of no call": (lambda talk: talk.data(1, b""), Code.PROTOCOL_ERROR),
    "the reset of no call": (lambda _: frames.reset(1, Code.NO_ERROR), Code.PROTOCOL_ERROR),
    "a window of no call": (lambda _: frames.window_update(1, 1), Code.PROTOCOL_ERROR),
    "a call of ours": (lambda talk: talk.head(2), Code.PROTOCOL_ERROR),
    "a call that begins twice": (lambda talk: talk.head(1) + talk.head(1), Code.PROTOCOL_ERROR),
    "data after the end": (lambda talk: talk.head(1) + talk.data(1, b"") * 2, Code.STREAM_CLOSED),
    "headers that are no block": (
        lambda _: frame(frames.HEADERS, 4, 1, b"\xff\xff\xff"),
        Code.COMPRESSION_ERROR,
    ),
    "headers cut off": (lambda talk: talk.head(1, flags=0) + settings({}), Code.PROTOCOL_ERROR),
    "headers that never began": (lambda _: frame(frames.CONTINUATION, 4, 1), Code.PROTOCOL_ERROR),
    "headers that go on elsewhere": (
        lambda talk: talk.head(1, flags=0) + frame(frames.CONTINUATION, 4, 3),
        Code.PROTOCOL_ERROR,
    ),
    "headers without end": (
        lambda talk: talk.head(1, flags=0) + frame(frames.CONTINUATION, 0, 1, FULL) * 5,
        Code.ENHANCE_YOUR_CALM,
    ),
    "headers of nothing without end": (
        lambda talk: talk.head(1, flags=0) + frame(frames.CONTINUATION, 0, 1) * (MOST_STRIKES + 1),
        Code.ENHANCE_YOUR_CALM,
    ),
    "a block that grows": (
        lambda talk: talk.head(1, *[("a" * 60, "b" * 4000)] * 20),
        Code.COMPRESSION_ERROR,
    ),
    "a push": (lambda _: frame(frames.PUSH_PROMISE, 0, 1), Code.PROTOCOL_ERROR),
    "settings of a call": (lambda _: frame(frames.SETTINGS, 0, 1), Code.PROTOCOL_ERROR),
    "settings cut off": (lambda _: frame(frames.SETTINGS, 0, 0, b"12345"), Code.FRAME_SIZE_ERROR),
    "too large a first window": (lambda _: settings({frames.INITIAL_WINDOW: 2**31}), Code.FLOW_CONTROL_ERROR),
    "too small frames": (lambda _: settings({frames.FRAME_SIZE: 100}), Code.PROTOCOL_ERROR),
    "a short ping": (lambda _: frame(frames.PING, 0, 0, b"1"), Code.FRAME_SIZE_ERROR),
    "a ping of a call": (lambda _: frame(frames.PING, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
    "a window that grows by nothing": (lambda _: frames.window_update(0, 0), Code.PROTOCOL_ERROR),
    "a window cut off": (lambda _: frame(frames.WINDOW_UPDATE, 0, 0, b"1"), Code.FRAME_SIZE_ERROR),
    "too large a window": (lambda _: frames.window_update(0, 2**31 - 1), Code.FLOW_CONTROL_ERROR),
    "too large a window of a call": (
        lambda talk: talk.head(1) + frames.window_update(1, 2**31 - 1),
        Code.FLOW_CONTROL_ERROR,
    ),
    "too much padding": (
        lambda talk: talk.head(1) + frame(frames.DATA, frames.PADDED, 1, b"\7abc"),
        Code.PROTOCOL_ERROR,
    ),
    "padding without a length": (
        lambda talk: talk.head(1) + frame(frames.DATA, frames.PADDED, 1),
        Code.PROTOCOL_ERROR,
    ),
    "a priority cut off": (
        lambda _: frame(frames.HEADERS, frames.PRIORITIZED | frames.END_HEADERS, 1, b"1"),
        Code.FRAME_SIZE_ERROR,
    ),
    "pings without end": (
        lambda _: frame(frames.PING, 0, 0, bytes(8)) * (MOST_STRIKES + 1),
        Code.ENHANCE_YOUR_CALM,
    ),
    "settings without end": (lambda _: settings({}) * (MOST_STRIKES + 1), Code.ENHANCE_YOUR_CALM),
    "calls given up without end": (
        lambda talk: b"".join(
            talk.head(number) + frames.reset(number, Code.NO_ERROR)
            for number in range(1, 3 * MOST_STRIKES, 2)
        ),
        Code.ENHANCE_YOUR_CALM,
    ),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_peer_that_breaks_the_protocol_loses_its_connection(name: str) -> None:
    talk = Talk()
    wrong, code = WRONG[name]
    talk.send(wrong(talk))
    await settle()
    found, text = talk.failed()
    assert (found, bool(text)) == (code, True)


async def test_who_speaks_another_protocol_is_told_so() -> None:
    talk = Talk(greeted=False)
    talk.send(b"GET / HTTP/1.1\r\n")
    assert talk.failed() == (Code.PROTOCOL_ERROR, "this port speaks gRPC over HTTP/2 alone")


async def test_a_connection_that_is_to_end_takes_calls_a_moment_longer_and_hangs_up_when_idle() -> None:
    talk, now = Talk(ConnectionLimits(age_secs=0)), asyncio.get_running_loop().time()
    talk.connection.look(now)
    talk.send(talk.head(1))
    await settle()
    assert [call.number for call in talk.calls] == [1]
    talk.connection.look(now + 1)
    talk.connection.look(now + 1)
    assert [(kind, payload[:4].hex()) for kind, _, _, payload in talk.came()] == [
        (frames.GOAWAY, "7fffffff"),
        (frames.GOAWAY, "00000001"),
    ]
    talk.send(talk.head(3))
    assert talk.came() == [(frames.RST_STREAM, 0, 3, b"\0\0\0\7")]
    assert not talk.socket.closed
    talk.send(frames.reset(1, Code.NO_ERROR))
    await settle()
    assert talk.socket.closed
