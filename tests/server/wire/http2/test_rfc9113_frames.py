"""RFC 9113, sections 3 to 7: greeting, frames, streams, settings and windows, on a real socket.

Where the RFC has a stream's error, and lets us end the connection instead (section 5.4.1), we do, but for
malformed requests: who breaks these rules has no calls worth going on with. Where it says MAY, what we do is
said beside the case.
"""

from collections.abc import Iterator

import pytest

from tests.server.wire.http2.conformance import (
    CLOSED,
    COMPRESSION,
    FLOW,
    PROTOCOL,
    SIZE,
    Answered,
    Case,
    Gone,
    Ignored,
    Reset,
    each,
)
from tests.server.wire.http2.raw_client import (
    ASK,
    CONTINUATION,
    EMPTY,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HOLD,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Served,
    asked,
    data,
    frame,
    opened,
    ping,
    reset,
    served,
    settings,
    text,
    window,
)

TRAILERS = text("a", "b")
UNKNOWN_CODE = 0xDEAD
# Streams in the states of section 5.1.
HALF_CLOSED = opened(1, HOLD, flags=END_HEADERS | END_STREAM)
RESET = opened(1, HOLD) + reset(1)
FAR = 2**31 - 1
FULL = b"\0" + (16379).to_bytes(4) + b"\x0a\xf8\x7f" + b"x" * 16376
RESERVED = 0x80000000

GREETING = [
    Case("3.4", "greets and asks at once", asked(1), Answered()),
    Case("3.4", "greets with settings of its own", asked(1), Answered(), PREFACE + settings((3, 9), (4, 99))),
    Case("3.4", "sends another preface", b"", Gone(PROTOCOL), b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"),
    Case("3.4", "speaks HTTP/1.1", b"", Gone(PROTOCOL), b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"),
    Case("3.4", "begins with a PING", ping(), Gone(PROTOCOL), PREFACE),
    Case("3.4", "begins with a call", asked(1), Gone(PROTOCOL), PREFACE),
    Case("3.4", "begins with an acknowledgement", b"", Gone(PROTOCOL), PREFACE + frame(SETTINGS, 1, 0)),
]
FRAMES = [
    Case("4.1", "sends a frame of an unknown kind", frame(0x77, 0, 0, bytes(9)) + asked(1), Answered()),
    Case("4.1", "sends one on an idle stream", frame(0x77, 0xFF, 5, b"x") + asked(1), Answered()),
    Case("4.1", "sets flags that nobody knows", ping(b"of eight", 0xFE) + asked(1), Answered()),
    Case("4.1", "sets the reserved bit of a call's stream", opened(RESERVED | 1) + data(1), Answered()),
    Case("4.1", "sets the reserved bit of a PING's", frame(PING, 0, RESERVED, bytes(8)), Ignored()),
    Case("4.2", "sends DATA of 16384 bytes", opened(1) + data(1, FULL), Answered()),
    Case("4.2", "sends DATA of 16385 bytes", opened(1) + data(1, FULL + b"x"), Gone(SIZE)),
    Case("4.2", "sends HEADERS of 16385 bytes", opened(1, ASK + bytes(16385 - len(ASK))), Gone(SIZE)),
    Case("4.2", "sends SETTINGS of 16386 bytes", settings(*[(9, 9)] * 2731), Gone(SIZE)),
    Case("4.2", "announces an unknown frame that is too long", b"\x00\x40\x01\x77\0\0\0\0\0", Gone(SIZE)),
    Case("4.3", "sends a block that can't be read", opened(1, b"\xff\xff\xff\xff"), Gone(COMPRESSION)),
    Case(
        "4.3", "cuts a block off by PRIORITY", opened(1, flags=0) + frame(2, 0, 1, bytes(5)), Gone(PROTOCOL)
    ),
    Case("4.3", "cuts it off by another call", opened(1, flags=0) + opened(3), Gone(PROTOCOL)),
    Case("5.5", "cuts it off by an unknown frame", opened(1, flags=0) + frame(0x77, 0, 1), Gone(PROTOCOL)),
]
IDLE = [
    Case("5.1 idle", "sends DATA", data(1), Gone(PROTOCOL)),
    Case("5.1 idle", "sends RST_STREAM", reset(1), Gone(PROTOCOL)),
    Case("5.1 idle", "sends WINDOW_UPDATE", window(1, 1), Gone(PROTOCOL)),
    Case("5.1 idle", "sends CONTINUATION", frame(CONTINUATION, END_HEADERS, 1, ASK), Gone(PROTOCOL)),
    Case("5.1 idle", "sends PRIORITY", frame(PRIORITY, 0, 1, bytes(5)) + asked(1), Answered()),
    Case("5.1 idle", "sends DATA of a stream that would be ours", asked(3) + data(2), Gone(PROTOCOL)),
]
HALF = [
    Case("5.1 half-closed", "sends DATA", HALF_CLOSED + data(1), Gone(CLOSED)),
    Case("5.1 half-closed", "sends trailers", HALF_CLOSED + opened(1, TRAILERS, flags=5), Gone(CLOSED)),
    Case("5.1 half-closed", "asks again", HALF_CLOSED + opened(1), Gone(CLOSED)),
    Case(
        "5.1 half-closed",
        "sends CONTINUATION",
        HALF_CLOSED + frame(CONTINUATION, END_HEADERS, 1, TRAILERS),
        Gone(PROTOCOL),
    ),
    Case("5.1 half-closed", "sends WINDOW_UPDATE", HALF_CLOSED + window(1, 1), Ignored()),
    Case("5.1 half-closed", "sends PRIORITY", HALF_CLOSED + frame(PRIORITY, 0, 1, bytes(5)), Ignored()),
    Case("5.1 half-closed", "sends RST_STREAM", HALF_CLOSED + reset(1), Ignored()),
]
# What comes late of a stream that was closed MAY end the connection; we count it and throw it away.
AFTER_RESET = [
    Case("5.1 closed", "sends DATA", RESET + data(1), Ignored()),
    Case("5.1 closed", "sends trailers", RESET + opened(1, TRAILERS, flags=5), Ignored()),
    Case("5.1 closed", "asks again", RESET + opened(1), Gone(PROTOCOL)),
    Case("5.1 closed", "sends CONTINUATION", RESET + frame(CONTINUATION, 4, 1, TRAILERS), Gone(PROTOCOL)),
    Case("5.1 closed", "sends WINDOW_UPDATE", RESET + window(1, 1), Ignored()),
    Case("5.1 closed", "sends PRIORITY", RESET + frame(PRIORITY, 0, 1, bytes(5)), Ignored()),
    Case("5.1 closed", "sends RST_STREAM", RESET + reset(1), Ignored()),
]
AFTER_ANSWER = [
    Case("5.1 closed", "sends DATA", data(1), Ignored()),
    Case("5.1 closed", "sends trailers", opened(1, TRAILERS, flags=5), Ignored()),
    Case("5.1 closed", "asks again", opened(1), Gone(PROTOCOL)),
    Case("5.1 closed", "sends CONTINUATION", frame(CONTINUATION, 4, 1, TRAILERS), Gone(PROTOCOL)),
    Case("5.1 closed", "sends WINDOW_UPDATE", window(1, 1), Ignored()),
    Case("5.1 closed", "sends a WINDOW_UPDATE of nothing", window(1, 0), Gone(PROTOCOL)),
    Case("5.1 closed", "sends PRIORITY", frame(PRIORITY, 0, 1, bytes(5)), Ignored()),
    Case("5.1 closed", "sends RST_STREAM", reset(1), Ignored()),
]
STREAMS = [
    Case("5.1.1", "opens a stream with an even number", opened(2), Gone(PROTOCOL)),
    Case("5.1.1", "opens stream 0", opened(0), Gone(PROTOCOL)),
    Case("5.1.1", "opens a stream below the last", asked(5) + opened(3), Gone(PROTOCOL)),
    Case("5.1.1", "leaves numbers out", asked(5) + asked(99), Answered((5, 99))),
    Case("5.1.1", "opens the last stream there is", asked(FAR), Answered((FAR,))),
    Case(
        "5.1.2", "opens one stream too many", b"".join(opened(n, HOLD) for n in range(1, 18, 2)), Reset(17, 7)
    ),
    # RFC 7540 refused these two; RFC 9113 has given priorities up, and we don't read them.
    Case(
        "5.3",
        "lets a call depend on itself",
        opened(1, b"\0\0\0\1\x07" + ASK, flags=0x24) + data(1),
        Answered(),
    ),
    Case(
        "5.3", "lets a stream depend on itself", frame(PRIORITY, 0, 1, b"\0\0\0\1\x07") + asked(1), Answered()
    ),
]
DATA_FRAMES = [
    Case("6.1", "sends it on stream 0", data(0), Gone(PROTOCOL)),
    Case("6.1", "pads it", opened(1) + data(1, b"\3" + EMPTY + bytes(3), flags=9), Answered()),
    Case("6.1", "pads nothing", opened(1) + data(1, b"\0", flags=PADDED) + data(1), Answered()),
    Case("6.1", "sends nothing but padding", opened(1) + data(1, b"\2\0\0", flags=8) + data(1), Answered()),
    Case(
        "6.1", "pads with as much as all of it", opened(1) + data(1, b"\6" + EMPTY, flags=9), Gone(PROTOCOL)
    ),
    Case("6.1", "pads without saying how much", opened(1) + data(1, b"", flags=9), Gone(PROTOCOL)),
    Case(
        "6.1",
        "sends it in pieces",
        opened(1) + b"".join(data(1, b"\0", flags=0) for _ in range(5)) + data(1, b""),
        Answered(),
    ),
    Case("6.1", "pads what comes late", RESET + data(1, b"\6" + EMPTY, flags=9), Gone(PROTOCOL)),
]
HEADER_FRAMES = [
    Case("6.2", "pads them", opened(1, b"\2" + ASK + bytes(2), flags=0xC) + data(1), Answered()),
    Case("6.2", "gives a priority", opened(1, bytes(5) + ASK, flags=0x24) + data(1), Answered()),
    Case("6.2", "does both", opened(1, b"\1" + bytes(5) + ASK + b"\0", flags=0x2C) + data(1), Answered()),
    Case("6.2", "pads them with too much", opened(1, b"\xff" + ASK, flags=0xC), Gone(PROTOCOL)),
    Case("6.2", "cuts a priority off", opened(1, b"1234", flags=0x24), Gone(SIZE)),
    Case("6.3", "sends PRIORITY on stream 0", frame(PRIORITY, 0, 0, bytes(5)), Gone(PROTOCOL)),
    Case("6.3", "sends PRIORITY of 4 bytes", frame(PRIORITY, 0, 1, bytes(4)), Gone(SIZE)),
    Case("6.4", "resets stream 0", reset(0), Gone(PROTOCOL)),
    Case("6.4", "resets in 3 bytes", opened(1, HOLD) + frame(RST_STREAM, 0, 1, bytes(3)), Gone(SIZE)),
    Case("6.4", "resets before the answer", opened(1, HOLD) + reset(1) + asked(3), Answered((3,))),
    Case("6.6", "pushes", frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4) + ASK), Gone(PROTOCOL)),
    Case(
        "8.4", "pushes on a call", opened(1, HOLD) + frame(PUSH_PROMISE, 4, 1, bytes(4) + ASK), Gone(PROTOCOL)
    ),
]
SETTINGS_FRAMES = [
    Case("6.5", "acknowledges with a payload", frame(SETTINGS, 1, 0, bytes(6)), Gone(SIZE)),
    Case("6.5", "sends them on a stream", frame(SETTINGS, 0, 1), Gone(PROTOCOL)),
    Case("6.5", "acknowledges on a stream", frame(SETTINGS, 1, 1), Gone(PROTOCOL)),
    Case("6.5", "sends 5 bytes", frame(SETTINGS, 0, 0, bytes(5)), Gone(SIZE)),
    Case("6.5.2", "wants pushes by 2", settings((2, 2)), Gone(PROTOCOL)),
    Case("6.5.2", "wants pushes by 1", settings((2, 1)), Ignored()),
    Case("6.5.2", "opens windows of 2^31", settings((4, 2**31)), Gone(FLOW)),
    Case("6.5.2", "takes frames of 16383", settings((5, 16383)), Gone(PROTOCOL)),
    Case("6.5.2", "takes frames of 2^24", settings((5, 2**24)), Gone(PROTOCOL)),
    Case("6.5.2", "takes frames of 2^24 - 1", settings((5, 2**24 - 1)) + asked(1), Answered()),
    Case("6.5.2", "says what nobody knows", settings((0xBEEF, 2**32 - 1)) + asked(1), Answered()),
    Case(
        "6.9.2",
        "opens windows further than they go",
        opened(1, HOLD) + window(1, FAR - 65535) + settings((4, 65536)),
        Gone(FLOW),
    ),
]
OTHER_FRAMES = [
    Case("6.7", "answers a PING that nobody sent", ping(flags=1), Ignored()),
    Case("6.7", "pings with 6 bytes", ping(bytes(6)), Gone(SIZE)),
    Case("6.7", "answers a PING with 9 bytes", ping(bytes(9), 1), Gone(SIZE)),
    Case("6.7", "pings on a stream", frame(PING, 0, 1, bytes(8)), Gone(PROTOCOL)),
    Case("6.8", "says goodbye on a stream", frame(GOAWAY, 0, 1, bytes(8)), Gone(PROTOCOL)),
    Case("6.8", "says goodbye in 7 bytes", frame(GOAWAY, 0, 0, bytes(7)), Gone(SIZE)),
    Case(
        "6.8",
        "says goodbye to what runs",
        opened(1) + frame(GOAWAY, 0, 0, bytes(8) + b"?") + data(1),
        Answered(),
    ),
    Case(
        "7",
        "says goodbye by an unknown code",
        frame(GOAWAY, 0, 0, bytes(4) + UNKNOWN_CODE.to_bytes(4)),
        Ignored(),
    ),
    Case("7", "resets by an unknown code", opened(1, HOLD) + reset(1, UNKNOWN_CODE), Ignored()),
    Case("6.9", "grows the window by nothing", window(0, 0), Gone(PROTOCOL)),
    Case("6.9", "grows a stream's by nothing", opened(1, HOLD) + window(1, 0), Gone(PROTOCOL)),
    Case("6.9", "grows it by 3 bytes", frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"), Gone(SIZE)),
    Case("6.9", "grows it with the reserved bit set", window(0, RESERVED | 1), Ignored()),
    Case("6.9.1", "grows the window beyond 2^31 - 1", window(0, FAR), Gone(FLOW)),
    Case("6.9.1", "grows a stream's beyond it", opened(1, HOLD) + window(1, FAR), Gone(FLOW)),
    Case(
        "6.9.1",
        "grows both just to it",
        opened(1) + window(0, FAR - 65535) + window(1, FAR - 65535) + data(1),
        Answered(),
    ),
]
CONTINUATIONS = [
    Case(
        "6.10",
        "sends a block in three",
        opened(1, ASK[:5], flags=0) + frame(9, 0, 1, ASK[5:9]) + frame(9, 4, 1, ASK[9:]) + data(1),
        Answered(),
    ),
    Case(
        "6.10",
        "sends an empty part",
        opened(1, ASK, flags=0) + frame(CONTINUATION, 4, 1) + data(1),
        Answered(),
    ),
    Case(
        "6.10",
        "ends the stream in the first part",
        opened(1, ASK, flags=END_STREAM) + frame(CONTINUATION, 4, 1),
        Answered((1,), "3"),
    ),
    Case("6.10", "sends DATA before the rest", opened(1, ASK, flags=0) + data(1), Gone(PROTOCOL)),
    Case("6.10", "goes on as stream 0", opened(1, ASK, flags=0) + frame(CONTINUATION, 4, 0), Gone(PROTOCOL)),
    Case(
        "6.10",
        "goes on as another stream",
        opened(1, ASK, flags=0) + frame(CONTINUATION, 4, 3),
        Gone(PROTOCOL),
    ),
    Case("6.10", "goes on after a block's end", opened(1) + frame(CONTINUATION, 4, 1), Gone(PROTOCOL)),
    Case(
        "6.10", "goes on twice after it", opened(1, flags=0) + frame(CONTINUATION, 4, 1) * 2, Gone(PROTOCOL)
    ),
    Case("6.10", "goes on after DATA", opened(1) + data(1) + frame(CONTINUATION, 4, 1), Gone(PROTOCOL)),
]
ALL = [
    *(*GREETING, *FRAMES, *IDLE, *HALF, *AFTER_RESET, *STREAMS, *DATA_FRAMES),
    *(*HEADER_FRAMES, *SETTINGS_FRAMES, *OTHER_FRAMES, *CONTINUATIONS),
]


@pytest.fixture(scope="module", name="server")
def fixture_server() -> Iterator[Served]:
    with served(max_concurrent_streams=8) as server:
        yield server


@each(ALL)
def test_a_client_that(server: Served, case: Case) -> None:
    case.check(server)


@each(AFTER_ANSWER)
def test_a_client_that_was_answered_and(server: Served, case: Case) -> None:
    case.check(server, answered=1)
