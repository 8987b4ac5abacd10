"""A client that writes HTTP/2 byte by byte on a real socket, and a real server for it in a thread of its own.

Nothing here is the product's: numbers and frames are RFC 9113's, written anew.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from hpack import Decoder

from server.wire.call import Call
from server.wire.gate import Gate
from server.wire.health import Health
from server.wire.http2.connection import Connection
from server.wire.http2.listener import http2_transport
from server.wire.http2.loop import Loop
from server.wire.messages import message_class
from server.wire.method import Method
from server.wire.transport_options import TransportOptions
from tests.support.observers import Recorder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = range(5)
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(5, 10)
END_STREAM, END_HEADERS, PADDED, WITH_PRIORITY = 0x1, 0x4, 0x8, 0x20
LAST_WORD = b"the last"
WAIT_SECS = 30.0

NAMED = message_class("inference.ModelReadyRequest")
ANSWER = message_class("inference.ServerMetadataResponse")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def text(name: str, value: str) -> bytes:
    """A header that isn't to be indexed, with a name of its own: RFC 7541, section 6.2.2."""
    return b"".join([b"\0", *(bytes([len(part)]) + part.encode("latin-1") for part in (name, value))])


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(name.to_bytes(2) + value.to_bytes(4) for name, value in pairs))


def window(stream: int, more: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, more.to_bytes(4))


def reset(stream: int, code: int = 8) -> bytes:
    return frame(RST_STREAM, 0, stream, code.to_bytes(4))


def ping(payload: bytes = bytes(8), flags: int = 0) -> bytes:
    return frame(PING, flags, 0, payload)


# POST, http, the path, :authority (static entries 3, 6, 4 and 1), content-type (31), te.
POST, HTTP = b"\x83", b"\x86"
AUTHORITY = b"\x01\x04here"
GRPC = b"\x0f\x10\x10application/grpc"
TE = text("te", "trailers")


def path(method: str) -> bytes:
    return b"\x04" + bytes([len(method)]) + method.encode()


def block(method: str = "/test.Service/Ask", *more: bytes) -> bytes:
    return b"".join([POST, HTTP, path(method), AUTHORITY, GRPC, TE, *more])


ASK, HOLD = block(), block("/test.Service/Hold")
EMPTY = bytes(5)  # gRPC's message of no bytes


def opened(stream: int, head: bytes = ASK, *, flags: int = END_HEADERS) -> bytes:
    return frame(HEADERS, flags, stream, head)


def data(stream: int, payload: bytes = EMPTY, *, flags: int = END_STREAM) -> bytes:
    return frame(DATA, flags, stream, payload)


def asked(stream: int, head: bytes = ASK) -> bytes:
    """A whole call."""
    return opened(stream, head) + data(stream)


def message(name_bytes: int) -> bytes:
    """A call's message, whose answer has as many bytes of a name."""
    packed = bytes(NAMED(name="x" * name_bytes).SerializeToString())
    return b"\0" + len(packed).to_bytes(4) + packed


@dataclass
class Told:
    """What has come of one stream."""

    headers: dict[str, str] = field(default_factory=dict)
    blocks: list[bytes] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)  # of its frames of DATA
    reset: int | None = None
    ended: bool = False


class Client:
    """One connection. What comes is read as a client must read it; what can't be read fails the test."""

    def __init__(self, port: int, hello: bytes = PREFACE + frame(SETTINGS, 0, 0)) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT_SECS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.decoder = Decoder()
        self.streams: dict[int, Told] = {}
        self.kinds: list[int] = []
        self.pongs: list[bytes] = []
        self.acknowledged = 0
        self.goaway: int | None = None
        self.last: int | None = None
        self.send(hello)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, *parts: bytes) -> None:
        self.socket.sendall(b"".join(parts))

    def stream(self, number: int) -> Told:
        return self.streams.setdefault(number, Told())

    def read(self) -> bool:
        """Read one frame; False at the connection's end."""
        head = self._exactly(9)
        if not head:
            return False
        assert self.goaway is None or head[3] != GOAWAY, "one GOAWAY of an error is enough"
        payload = self._exactly(int.from_bytes(head[:3]))
        assert len(payload) <= 16384
        kind, flags, number = head[3], head[4], int.from_bytes(head[5:])
        self.kinds.append(kind)
        if kind in (DATA, HEADERS):
            self._part(kind, flags, number, payload)
        elif kind == RST_STREAM:
            self.stream(number).reset = int.from_bytes(payload)
        elif kind == GOAWAY:
            self.last, self.goaway = int.from_bytes(payload[:4]), int.from_bytes(payload[4:8])
        elif kind == PING and flags:
            self.pongs.append(payload)
        elif kind == SETTINGS and flags:
            self.acknowledged += 1
        return True

    def until_end(self) -> int | None:
        """Read until the connection ends; the code of its GOAWAY."""
        while self.read():
            pass
        return self.goaway

    def until_pong(self, payload: bytes = LAST_WORD) -> None:
        """Read until the server has said that it has read all that was sent."""
        self.send(ping(payload))
        while payload not in self.pongs:
            assert self.read(), f"the connection ended, code {self.goaway}"

    def until_told(self, number: int) -> Told:
        """Read until a stream has ended, or been reset."""
        told = self.stream(number)
        while not told.ended and told.reset is None:
            assert self.read(), f"the connection ended, code {self.goaway}"
        return told

    def until_sizes(self, number: int, sizes: list[int]) -> None:
        """Read until so much DATA of a stream has come."""
        told = self.stream(number)
        while told.sizes != sizes:
            assert self.read(), f"the connection ended, code {self.goaway}"
            assert len(told.sizes) <= len(sizes), told.sizes

    def until_bytes(self, size: int) -> None:
        """Read until so much DATA of all streams has come."""
        while sum(sum(told.sizes) for told in self.streams.values()) != size:
            assert self.read(), f"the connection ended, code {self.goaway}"

    def _part(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        told = self.stream(number)
        assert not told.ended, f"stream {number} goes on after its end"
        assert told.reset is None, f"stream {number} goes on after its reset"
        if kind == DATA:
            told.sizes.append(len(payload))
        else:
            assert flags & END_HEADERS
            told.blocks.append(payload)
            told.headers.update({str(name): str(value) for name, value in self.decoder.decode(payload)})
        told.ended = bool(flags & END_STREAM)

    def _exactly(self, size: int) -> bytes:
        held = b""
        while len(held) < size:
            try:
                part = self.socket.recv(size - len(held))
            except ConnectionResetError:
                part = b""
            if not part:
                assert not held, "the last frame is cut off"
                return b""
            held += part
        return held


async def ask(request: Any, _call: Call) -> Any:
    return ANSWER(name=request.name)


async def hold(_request: Any, _call: Call) -> Any:
    await asyncio.Event().wait()


METHODS = [
    Method("test.Service", name, NAMED, ANSWER, answer) for name, answer in (("Ask", ask), ("Hold", hold))
]


@dataclass
class Served:
    """A server that runs, and what it counts."""

    port: int
    transport: Any
    loop: asyncio.AbstractEventLoop
    told: Recorder

    def client(self, hello: bytes = PREFACE + frame(SETTINGS, 0, 0)) -> Client:
        return Client(self.port, hello)

    def asked(self, what: Callable[[], Any]) -> Any:
        """What `what` returns on the server's event loop."""

        async def told() -> Any:
            return what()

        return asyncio.run_coroutine_threadsafe(told(), self.loop).result(WAIT_SECS)

    def connections(self) -> list[Connection]:
        """Those that are open."""
        return list(self.asked(lambda: list(self.transport._host._connections)))  # noqa: SLF001

    def until(self, what: Callable[[], bool]) -> None:
        """Wait until `what` is true on the server's event loop."""
        until = time.monotonic() + WAIT_SECS
        while not self.asked(what):
            assert time.monotonic() < until

    def until_running(self, calls: int) -> None:
        """Wait until so many calls run."""
        self.until(lambda: bool(self.transport.calls.running == calls))


@contextmanager
def served(gate: Gate | None = None, **options: Any) -> Iterator[Served]:
    """Serve METHODS on our own HTTP/2, as `unisono serve` does, until the block ends."""
    begun, made, stopping = threading.Event(), list[Served](), asyncio.Event()

    async def serve() -> None:
        told = Recorder()
        listening = TransportOptions(address="127.0.0.1:0", max_call_secs=WAIT_SECS, **options)
        transport = http2_transport(METHODS, Health(), observer=told, options=listening, gate=gate)
        made.append(Served(await transport.start(), transport, asyncio.get_running_loop(), told))
        begun.set()
        await stopping.wait()
        await transport.stop(0)

    def run() -> None:
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    assert begun.wait(WAIT_SECS)
    try:
        yield made[0]
    finally:
        made[0].loop.call_soon_threadsafe(stopping.set)
        thread.join(WAIT_SECS)
