"""RFC 9113, section 8: requests that aren't well-formed end their stream, and nothing else.

gRPC's PROTOCOL-HTTP2 comes first where it differs: white space around a value is its senders' affair, and
`:authority` is what counts beside a `host`. Calls without `te` are taken too, as grpcio does.
"""

from collections.abc import Iterator

import pytest

from tests.server.wire.http2.conformance import CLOSED, PROTOCOL, Answered, Case, Gone, Reset, each
from tests.server.wire.http2.raw_client import (
    AUTHORITY,
    EMPTY,
    GRPC,
    HTTP,
    POST,
    TE,
    Served,
    asked,
    block,
    data,
    opened,
    path,
    served,
    text,
)

ASK = path("/test.Service/Ask")
TUNNEL = text(":method", "CONNECT")
MALFORMED = Reset(1, PROTOCOL)
REST = AUTHORITY + GRPC + TE
INVALID = Answered((1,), "3")


def with_header(name: str, value: str) -> bytes:
    return asked(1, block("/test.Service/Ask", text(name, value)))


def with_own(*parts: bytes) -> bytes:
    return asked(1, b"".join(parts) + REST)


def sized(length: str, *parts: bytes, more: bytes = b"") -> bytes:
    """A call that says how long it is, and what comes of it."""
    return opened(1, block("/test.Service/Ask", text("content-length", length), more)) + b"".join(parts)


def trailers(*parts: bytes, flags: int = 5) -> bytes:
    return opened(1) + data(1, flags=0) + opened(1, b"".join(parts), flags=flags)


END = opened(1, b"", flags=5)
HELD = opened(1, block("/test.Service/Hold")) + data(1, flags=0)
MESSAGES = [
    Case("8.1", "ends its request with trailers", trailers(text("a", "b")), Answered()),
    Case("8.1", "ends it with trailers of nothing", trailers(), Answered()),
    # A stream's error, which we take for the connection's: nobody can tell what was meant.
    Case("8.1", "sends trailers that end nothing", trailers(text("a", "b"), flags=4), Gone(PROTOCOL)),
    Case("8.1", "sends trailers twice", HELD + END * 2, Gone(CLOSED)),
    Case("8.1", "names a path in its trailers", trailers(ASK), MALFORMED),
    Case("8.1", "names a trailer in capitals", trailers(text("A", "b")), MALFORMED),
    Case("8.1", "sends a trailer of two lines", trailers(text("a", "b\r\nc")), MALFORMED),
    Case("8.1", "sends headers alone", opened(1, flags=5), INVALID),
    Case("8.1.1", "is malformed, and goes on with others", with_header("A", "b") + asked(3), Answered((3,))),
    Case("8.1.1", "sends as much as it says", sized("5", data(1)), Answered()),
    Case("8.1.1", "sends it in two", sized("5", data(1, bytes(2), flags=0), data(1, bytes(3))), Answered()),
    Case("8.1.1", "pads what it says", sized("5", data(1, b"\3" + EMPTY + bytes(3), flags=9)), Answered()),
    Case("8.1.1", "sends less", sized("6", data(1)), MALFORMED),
    Case("8.1.1", "sends more", sized("4", data(1)), MALFORMED),
    Case("8.1.1", "sends more, and hasn't ended", sized("4", data(1, flags=0)), MALFORMED),
    Case("8.1.1", "sends more in two", sized("5", data(1, flags=0), data(1, b"x")), MALFORMED),
    Case(
        "8.1.1", "sends less, and trailers", sized("6", data(1, flags=0), opened(1, b"", flags=5)), MALFORMED
    ),
    Case("8.1.1", "says how long it is, and ends", sized("5")[:4] + b"\5" + sized("5")[5:], MALFORMED),
    Case("8.1.1", "says that it is nothing, and ends", sized("0")[:4] + b"\5" + sized("0")[5:], INVALID),
    Case("8.1.1", "says no number", sized("five", data(1)), MALFORMED),
    Case("8.1.1", "says a number below 0", sized("-5", data(1)), MALFORMED),
    Case("8.1.1", "says a number without end", sized("9" * 99, data(1)), MALFORMED),
    Case("8.1.1", "says it twice", sized("5", data(1), more=text("content-length", "5")), MALFORMED),
    Case("8.1.1", "goes on after being refused", sized("4", data(1, flags=0)) + data(1), MALFORMED),
]
FIELDS = [
    Case("8.2", "names a header in capitals", with_header("User-Agent", "x"), MALFORMED),
    Case("8.2.1", "names a header with a space", with_header("a b", "x"), MALFORMED),
    Case("8.2.1", "names a header with a colon", with_header("a:b", "x"), MALFORMED),
    Case("8.2.1", "names a header with a zero", with_header("a\0", "x"), MALFORMED),
    Case("8.2.1", "names a header with DEL", with_header("a\x7f", "x"), MALFORMED),
    Case("8.2.1", "names a header beyond ASCII", with_header("\xe4", "x"), MALFORMED),
    Case("8.2.1", "names a header not at all", with_header("", "x"), MALFORMED),
    Case("8.2.1", "sends a zero", with_header("a", "b\0"), MALFORMED),
    Case("8.2.1", "sends a new line", with_header("a", "b\nc"), MALFORMED),
    Case("8.2.1", "sends a return", with_header("a", "b\rc"), MALFORMED),
    Case("8.2.1", "sends a new line in the path", with_own(POST, HTTP, path("/a\nb")), MALFORMED),
    Case("8.2.1", "sends letters beyond ASCII", with_header("a", "\xe4"), Answered()),
    Case("8.2.1", "sends nothing", with_header("a", ""), Answered()),
    Case("8.2.1 gRPC", "sends white space before and after", with_header("a", " b\t"), Answered()),
    *(
        Case("8.2.2", f"sends {name}", with_header(name, "x"), MALFORMED)
        for name in ("connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade")
    ),
    Case("8.2.2", "takes more than trailers", with_header("te", "trailers, gzip"), MALFORMED),
    Case("8.2.2", "takes gzip", asked(1, block()[: -len(TE)] + text("te", "gzip")), MALFORMED),
    Case("8.2.2 gRPC", "takes no trailers", asked(1, block()[: -len(TE)]), Answered()),
    Case(
        "8.2.3",
        "sends a cookie in crumbs",
        asked(1, block("/test.Service/Ask", text("cookie", "a"), text("cookie", "b"))),
        Answered(),
    ),
]
OWN = [
    Case("8.3", "sends what is HTTP/2's own in any order", with_own(ASK, HTTP, POST), Answered()),
    Case("8.3", "sends a pseudo-header nobody knows", with_own(POST, HTTP, ASK, text(":a", "b")), MALFORMED),
    Case("8.3", "sends an answer's", with_own(b"\x88", POST, HTTP, ASK), MALFORMED),
    Case("8.3", "sends it after others", asked(1, POST + HTTP + TE + ASK), MALFORMED),
    Case("8.3", "sends it last", asked(1, block("/test.Service/Ask", AUTHORITY)), MALFORMED),
    Case("8.3", "names one in capitals", with_own(text(":METHOD", "POST"), HTTP, ASK), MALFORMED),
    Case("8.3.1", "leaves :method out", with_own(HTTP, ASK), MALFORMED),
    Case("8.3.1", "leaves :scheme out", with_own(POST, ASK), MALFORMED),
    Case("8.3.1", "leaves :path out", with_own(POST, HTTP), MALFORMED),
    Case("8.3.1", "leaves :authority out", asked(1, POST + HTTP + ASK + GRPC + TE), Answered()),
    Case("8.3.1", "leaves the path empty", with_own(POST, HTTP, path("")), MALFORMED),
    Case("8.3.1", "sends :method twice", with_own(POST, POST, HTTP, ASK), MALFORMED),
    Case("8.3.1", "sends :scheme twice", with_own(POST, HTTP, HTTP, ASK), MALFORMED),
    Case("8.3.1", "sends :path twice", with_own(POST, HTTP, ASK, ASK), MALFORMED),
    Case("8.3.1", "sends :authority twice", with_own(POST, HTTP, ASK, AUTHORITY), MALFORMED),
    Case("8.3.1", "sends nothing at all", asked(1, b""), MALFORMED),
    Case("8.3.1", "speaks https", with_own(POST, b"\x87", ASK), Answered()),
    Case("8.3.1 gRPC", "names another host", with_header("host", "there"), Answered()),
    # A tunnel has neither scheme nor path: there is none here.
    Case("8.5", "wants a tunnel", asked(1, text(":method", "CONNECT") + AUTHORITY), MALFORMED),
    Case(
        "8.5",
        "wants a tunnel of a protocol",
        with_own(text(":method", "CONNECT"), text(":protocol", "x"), HTTP, ASK),
        MALFORMED,
    ),
    Case("gRPC", "asks for what there isn't", with_own(POST, HTTP, path("/a/b")), Answered((1,), "12")),
    Case("gRPC", "names no path but a word", with_own(POST, HTTP, path("x")), Answered((1,), "12")),
]


@pytest.fixture(scope="module", name="server")
def fixture_server() -> Iterator[Served]:
    with served() as server:
        yield server


@each([*MESSAGES, *FIELDS, *OWN])
def test_a_client_that(server: Served, case: Case) -> None:
    case.check(server)


def test_a_request_that_turns_out_malformed_is_cancelled(server: Served) -> None:
    with server.client() as client:
        length = text("content-length", "9")
        client.send(opened(1, block("/test.Service/Hold", length)), data(1, flags=0))
        client.send(asked(3, block("/test.Service/Hold")))
        client.until_pong()
        client.send(data(1))
        assert client.until_told(1).reset == PROTOCOL
        server.until_running(1)
        client.send(data(3))
        assert client.until_end() == CLOSED
