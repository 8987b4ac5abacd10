"""A connection without a socket: what a client sends goes in as frames, what it gets comes out as frames."""

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpack import Encoder

from server.wire.admission import Admission, AdmissionLimits
from server.wire.head import Head
from server.wire.http2 import frames
from server.wire.http2.connection import Connection
from server.wire.http2.crowd import Crowd
from server.wire.http2.lifetime import ConnectionLimits
from server.wire.http2.starts import Starts
from server.wire.http2.stream import CallStream
from server.wire.http2.taker import Taker

CALL = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/test.Service/Ask"),
    (":authority", "here"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
)
Frame = tuple[int, int, int, bytes]  # kind, flags, stream, payload
START = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")], "trailers": True}
TRAILERS = {"type": "http.response.trailers", "headers": [(b"grpc-status", b"0")], "more_trailers": False}


def body(data: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


class Told(Crowd):
    """A crowd that is there when the test says so."""

    def __init__(self, *, here: bool) -> None:
        super().__init__(Admission(AdmissionLimits()))
        self.here = here

    @property
    def narrow(self) -> bool:
        return self.here


@dataclass
class Socket:
    """Where the connection writes."""

    written: bytearray = field(default_factory=bytearray)
    closed: bool = False
    reading: bool = True
    least: int = 1  # bytes for which whoever reads is woken

    def write(self, data: bytes) -> None:
        self.written += data

    def writelines(self, parts: list[bytes]) -> None:
        self.written += b"".join(parts)

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_extra_info(self, name: str) -> "Socket":
        assert name == "socket"
        return self

    def setsockopt(self, level: int, option: int, value: int) -> None:
        assert (level, option) == (socket.SOL_SOCKET, socket.SO_RCVLOWAT)
        if self.closed:
            raise OSError(errno.EBADF, "closed")
        self.least = value


class Talk:
    """One client of one connection, whose calls are kept for the test to answer."""

    def __init__(
        self,
        limits: ConnectionLimits | None = None,
        *,
        greeted: bool = True,
        narrow: bool = False,
        taker: Taker | None = None,
    ) -> None:
        self.socket, self.calls = Socket(), list[CallStream]()
        self.cancelled: list[int] = []
        self.peers: set[Connection] = set()
        self.encoder = Encoder()
        self.refusal: bytes | None = None  # what calls are refused with
        self.crowd = Told(here=narrow)
        self.starts = Starts(taker or self)
        self.connection = Connection(
            taker or self, self.starts, limits or ConnectionLimits(), self.crowd, self.peers
        )
        made: Any = self.socket
        self.connection.connection_made(made)
        self.answers: dict[int, Callable[[CallStream], Any]] = {}
        self.hello = self.came()
        if greeted:
            self.send(frames.PREFACE, frames.settings({}))
            self.came()

    def refuse(self, _head: Head) -> bytes | None:
        return self.refusal

    def wants_all(self, _head: Head) -> bool:
        return False

    def shorten(self, _stream: CallStream) -> None:
        return None

    async def take(self, _head: Head, stream: CallStream) -> None:
        self.calls.append(stream)
        try:
            answer = self.answers.get(stream.number)
            await (asyncio.Event().wait() if answer is None else answer(stream))
        except asyncio.CancelledError:
            self.cancelled.append(stream.number)
            raise

    def turn(self, *, here: bool) -> None:
        """Have a crowd come, or go."""
        self.crowd.here = here
        self.connection.turn()

    def send(self, *parts: bytes) -> None:
        """Have bytes come from the client."""
        self.connection.data_received(b"".join(parts))

    def head(self, number: int, *more: tuple[str, str], flags: int = frames.END_HEADERS) -> bytes:
        """The HEADERS of a call; what `more` says of HTTP/2's own is said instead."""
        own = {name: value for name, value in (*CALL, *more) if name[0] == ":"}
        others = [pair for pair in (*CALL, *more) if pair[0][0] != ":"]
        return frames.frame(frames.HEADERS, flags, number, self.encoder.encode([*own.items(), *others]))

    def data(self, number: int, data: bytes, *, ended: bool = True) -> bytes:
        """A part of its request."""
        return frames.frame(frames.DATA, frames.END_STREAM if ended else 0, number, data)

    def came(self) -> list[Frame]:
        """What came back since the last time, or would if the loop went on."""
        self.connection._line.let_go()  # noqa: SLF001
        written, found, at = bytes(self.socket.written), list[Frame](), 0
        self.socket.written.clear()
        while at < len(written):
            end = at + 9 + int.from_bytes(written[at : at + 3], "big")
            number = int.from_bytes(written[at + 5 : at + 9], "big")
            found.append((written[at + 3], written[at + 4], number, written[at + 9 : end]))
            at = end
        return found

    def failed(self) -> tuple[frames.Code, str]:
        """Why the connection ended, as the last frame says."""
        kind, _, _, payload = self.came()[-1]
        assert (kind, self.socket.closed) == (frames.GOAWAY, True)
        return frames.Code(int.from_bytes(payload[4:8], "big")), payload[8:].decode()


async def settle() -> None:
    """Let tasks that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


def kinds(found: Sequence[Frame]) -> list[int]:
    return [kind for kind, *_ in found]
