"""A gRPC client that costs next to nothing: unary calls of one body, on HTTP/2 frames written by hand.

grpcio's client takes a third of a millisecond of a core for a call; beside a server that refuses a thousand
calls a second on the same cores, that is what would be measured. This one takes a tenth of it.
"""

import asyncio
import re
import time
from collections import deque
from dataclasses import dataclass, field

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
HEADER_TABLE_SIZE, MAX_STREAMS, INITIAL_WINDOW_SIZE = 1, 3, 4
FRAME_HEAD = 9
MOST_IN_FRAME = 16384
FIRST_WINDOW = 65535
OUR_WINDOW = 1 << 30
# A trailer as gRPC writes it to a client that keeps no table of headers: name, length, digits. Envoy writes
# the name in HPACK's Huffman code.
STATUS = re.compile(rb"(?:grpc-status|\x9a\xca\xc8\xb2\x12\x34\xda\x8f)(?:\x01(\d)|\x02(\d\d))")
CODES = {
    "0": "OK",
    "1": "CANCELLED",
    "4": "DEADLINE_EXCEEDED",
    "8": "RESOURCE_EXHAUSTED",
    "13": "INTERNAL",
    "14": "UNAVAILABLE",
}
UNTOLD, LOST = "no status", "connection lost"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Write one frame."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def request_headers(authority: str, path: str, timeout_ms: int) -> bytes:
    """Write the headers of a call, none of which the server need remember."""

    def text(value: str) -> bytes:
        return bytes([len(value)]) + value.encode()

    known = b"\x83\x86"  # POST, http
    named = b"\x04" + text(path) + b"\x01" + text(authority) + b"\x0f\x10" + text("application/grpc")
    others = {"te": "trailers", "grpc-timeout": f"{timeout_ms}m"}
    return known + named + b"".join(b"\x00" + text(name) + text(value) for name, value in others.items())


def whole(headers: bytes, body: bytes, stream: int) -> bytes:
    """Write a call at once: its headers, and all of its body."""
    last = max(len(body) - 1, 0) // MOST_IN_FRAME * MOST_IN_FRAME
    parts = [frame(HEADERS, END_HEADERS, stream, headers)]
    parts += [
        frame(DATA, END_STREAM * (at == last), stream, body[at : at + MOST_IN_FRAME])
        for at in range(0, last + 1, MOST_IN_FRAME)
    ]
    return b"".join(parts)


@dataclass(slots=True)
class Waiting:
    """A call that has no answer: what of its body isn't sent, and what the server lets it send."""

    answer: asyncio.Future[str]
    rest: memoryview
    window: int
    status: str = UNTOLD


@dataclass(slots=True)
class Connection(asyncio.Protocol):
    """One connection of many calls at once. `call` may be awaited by as many tasks as one likes."""

    headers: bytes
    body: bytes
    _transport: asyncio.Transport | None = None
    _received: bytearray = field(default_factory=bytearray)
    _calls: dict[int, Waiting] = field(default_factory=dict)
    _unsent: dict[int, None] = field(default_factory=dict)  # calls whose body isn't out, in order
    _next: int = 1
    _window: int = FIRST_WINDOW
    _stream_window: int = FIRST_WINDOW
    _most_streams: int = 100
    _waiting: deque[asyncio.Future[str]] = field(default_factory=deque)
    _lost: bool = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        settings = HEADER_TABLE_SIZE.to_bytes(2, "big") + bytes(4)
        settings += INITIAL_WINDOW_SIZE.to_bytes(2, "big") + OUR_WINDOW.to_bytes(4, "big")
        grow = frame(WINDOW_UPDATE, 0, 0, OUR_WINDOW.to_bytes(4, "big"))
        transport.write(PREFACE + frame(SETTINGS, 0, 0, settings) + grow)

    def call(self) -> asyncio.Future[str]:
        """Send one call, or have it wait until the server takes as many at once; its code comes later."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        if self._lost:
            answer.set_result(LOST)
        elif len(self._calls) < self._most_streams:
            self._begin(answer)
        else:
            self._waiting.append(answer)
        return answer

    def _begin(self, answer: asyncio.Future[str]) -> None:
        stream, self._next = self._next, self._next + 2
        size = len(self.body)
        if not self._unsent and size <= min(self._window, self._stream_window):
            self._calls[stream] = Waiting(answer, memoryview(b""), self._stream_window - size)
            self._window -= size
            self._write(whole(self.headers, self.body, stream))
            return
        self._calls[stream] = Waiting(answer, memoryview(self.body), self._stream_window)
        self._unsent[stream] = None
        self._send_of(stream, frame(HEADERS, END_HEADERS, stream, self.headers))

    def data_received(self, data: bytes) -> None:
        """Take whole frames; what is left waits for the rest."""
        received = self._received
        received += data
        at = 0
        while len(received) - at >= FRAME_HEAD:
            size = int.from_bytes(received[at : at + 3], "big")
            end = at + FRAME_HEAD + size
            if len(received) < end:
                break
            stream = int.from_bytes(received[at + 5 : at + FRAME_HEAD], "big") & 0x7FFFFFFF
            self._take(received[at + 3], received[at + 4], stream, bytes(received[at + FRAME_HEAD : end]))
            at = end
        del received[:at]

    def connection_lost(self, _error: Exception | None) -> None:
        """Tell whoever still waits."""
        self._lost = True
        waiting, self._waiting = self._waiting, deque()
        for answer in waiting:
            answer.set_result(LOST)
        for stream in list(self._calls):
            self._end(stream, LOST)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == HEADERS:
            self._headers(flags, stream, payload)
        elif kind == RST_STREAM:
            self._end(stream, UNTOLD)
        elif kind == WINDOW_UPDATE:
            self._grow(stream, int.from_bytes(payload, "big"))
        elif kind == PING and not flags & ACK:
            self._write(frame(PING, ACK, 0, payload))
        elif kind == SETTINGS and not flags & ACK:
            self._settings(payload)

    def _headers(self, flags: int, stream: int, payload: bytes) -> None:
        call = self._calls.get(stream)
        found = STATUS.search(payload)
        if call is not None and found:
            digits = (found[1] or found[2]).decode()
            call.status = CODES.get(digits, digits)
        if flags & END_STREAM:
            self._end(stream, UNTOLD)

    def _settings(self, payload: bytes) -> None:
        for at in range(0, len(payload), 6):
            value = int.from_bytes(payload[at + 2 : at + 6], "big")
            if int.from_bytes(payload[at : at + 2], "big") == INITIAL_WINDOW_SIZE:
                for call in self._calls.values():
                    call.window += value - self._stream_window
                self._stream_window = value
            elif int.from_bytes(payload[at : at + 2], "big") == MAX_STREAMS:
                self._most_streams = value
        self._write(frame(SETTINGS, ACK, 0))
        self._send()

    def _grow(self, stream: int, more: int) -> None:
        if stream == 0:
            self._window += more
            self._send()
        elif stream in self._calls:
            self._calls[stream].window += more
            self._send_of(stream)

    def _send(self) -> None:
        """Send of the calls in turn what the windows let through."""
        for stream in list(self._unsent):
            if self._window <= 0:
                return
            self._send_of(stream)

    def _send_of(self, stream: int, first: bytes = b"") -> None:
        """Send of one call what the windows let through, behind `first`."""
        call, parts = self._calls[stream], [first]
        while call.rest and (size := min(len(call.rest), MOST_IN_FRAME, self._window, call.window)) > 0:
            last = size == len(call.rest)
            parts.append(frame(DATA, END_STREAM * last, stream, bytes(call.rest[:size])))
            call.rest, call.window = call.rest[size:], call.window - size
            self._window -= size
        self._write(b"".join(parts))
        if not call.rest:
            self._unsent.pop(stream, None)

    def _end(self, stream: int, status: str) -> None:
        call = self._calls.pop(stream, None)
        if call is None:
            return
        self._unsent.pop(stream, None)
        if not call.answer.done():
            call.answer.set_result(status if call.status == UNTOLD else call.status)
        if self._waiting:
            self._begin(self._waiting.popleft())

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


@dataclass(frozen=True)
class Call:
    """One call: when it was due, in seconds on the monotonic clock, how long it took from then, its code."""

    sent: float
    seconds: float
    code: str


class Load:
    """Calls of one body, spread over a handful of connections to one server."""

    def __init__(self, address: str, path: str, body: bytes, *, connections: int, timeout: float) -> None:
        self._host, _, port = address.rpartition(":")
        self._port, self._count, self._body = int(port), connections, body
        self._headers = request_headers(address, path, round(timeout * 1000))
        self._connections: list[Connection] = []

    async def open(self) -> None:
        """Connect."""
        loop = asyncio.get_running_loop()
        for _ in range(self._count):
            _, connection = await loop.create_connection(
                lambda: Connection(self._headers, self._body), self._host, self._port
            )
            self._connections.append(connection)

    def close(self) -> None:
        """Hang up."""
        for connection in self._connections:
            connection.close()

    async def call(self, number: int, due: float | None = None) -> Call:
        """Call once; `number` picks the connection. Time counts from `due`, which may have passed."""
        sent = time.monotonic() if due is None else due
        code = await self._connections[number % self._count].call()
        return Call(sent, time.monotonic() - sent, code)

    async def waiting(self, callers: int, seconds: float) -> list[Call]:
        """Have `callers` ask again as soon as they are answered."""
        end, calls = time.monotonic() + seconds, list[Call]()

        async def keep_asking(number: int) -> None:
            while time.monotonic() < end:
                calls.append(await self.call(number))
                if calls[-1].code == LOST:
                    raise ConnectionError("the server closed a connection")

        await asyncio.gather(*(keep_asking(number) for number in range(callers)))
        return calls

    async def on_a_timer(self, rate: float, seconds: float) -> list[Call]:
        """Send `rate` calls a second, whatever becomes of them."""
        began, tasks = time.monotonic(), list[asyncio.Task[Call]]()
        while (now := time.monotonic() - began) < seconds:
            # All that is due by now: a timer that comes late catches up, and the call is late from then on.
            tasks += [
                asyncio.create_task(self.call(number, began + number / rate))
                for number in range(len(tasks), round(now * rate))
            ]
            await asyncio.sleep(0.001)
        return await asyncio.gather(*tasks)
