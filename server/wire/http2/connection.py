"""One connection: its frames in, its windows, its end. What a call is about, streams and others know.

Rule: whatever a peer sends, what is held for it is bounded: what it has not been given room for ends the
connection, and while it doesn't read, it isn't read either.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import cast

from ..head import Head
from . import frames
from .crowd import Crowd
from .frames import Code, Http2Error
from .header_blocks import HeaderBlocks, Parts
from .lifetime import ConnectionLimits, Lifetime, Step
from .line import CONNECTION_WINDOW_BYTES, NARROW_WINDOW_BYTES, STREAM_WINDOW_BYTES, Line
from .stream import CallStream, Taker
from .streams import Streams

# Of calls given up, pings and settings in one second: what costs us more than who sends it.
MOST_STRIKES = 4000
PING_DATA = b"unisono."

log = logging.getLogger("unisono.wire")


class Connection(asyncio.Protocol):
    """A connection of one client. While there is a `crowd` little is sent of a call until it is taken."""

    def __init__(
        self, taker: Taker, limits: ConnectionLimits, crowd: Crowd, lost: Callable[["Connection"], None]
    ) -> None:
        self._taker, self._limits, self._crowd, self._lost = taker, limits, crowd, lost
        self._narrow = crowd.narrow
        self._loop = asyncio.get_running_loop()
        self._line = Line()
        self._rest = b""
        self._greeted = False
        self._blocks = HeaderBlocks(limits.header_bytes)
        self._parts: Parts | None = None  # of a head that isn't whole
        self._streams = Streams()
        self._new: list[CallStream] = []  # those that nobody answers yet
        self._final = frames.LAST_STREAM  # the last that will be taken
        self._strikes = 0
        self._lifetime = Lifetime(limits, self._loop.time())
        self._handlers: Mapping[int, Callable[[int, int, bytes], None]] = {
            frames.DATA: self._on_data,
            frames.HEADERS: self._on_headers,
            frames.RST_STREAM: self._on_reset,
            frames.SETTINGS: self._on_settings,
            frames.PUSH_PROMISE: self._on_push,
            frames.PING: self._on_ping,
            frames.WINDOW_UPDATE: self._on_window,
            frames.CONTINUATION: self._on_continuation,
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet: say what may be sent."""
        self._line.opened(cast(asyncio.Transport, transport))
        self._crowd.join(self._line)
        ours = {
            frames.MAX_STREAMS: self._limits.streams,
            frames.INITIAL_WINDOW: self._first_window(),
            frames.HEADER_LIST_SIZE: self._limits.header_bytes,
        }
        more = CONNECTION_WINDOW_BYTES - frames.FIRST_WINDOW
        self._line.write(frames.settings(ours) + frames.window_update(0, more))

    def data_received(self, data: bytes) -> None:
        """Take whole frames; what is left waits for the rest."""
        self._lifetime.heard = True
        data = self._rest + data if self._rest else data
        self._line.gather()
        try:
            self._rest = data[self._frames(data) :]
        except Http2Error as error:
            self._rest = b""
            self._fail(error)
        self._start()
        self._line.let_go()
        self._crowd.was_read()

    def connection_lost(self, _error: Exception | None) -> None:
        """End what runs."""
        self._line.lost()
        self._crowd.part(self._line)
        self._streams.lose()
        self._lost(self)

    def pause_writing(self) -> None:
        """Read no more of a client that doesn't read."""
        self._line.fill(full=True)

    def resume_writing(self) -> None:
        """Go on."""
        self._line.fill(full=False)

    def look(self, now: float) -> None:
        """Ask a silent peer whether it is there, and end what is too old. Called about once a second."""
        self._strikes = 0
        step = self._lifetime.step(now)
        if step is Step.PING:
            self._line.write(frames.frame(frames.PING, 0, 0, PING_DATA))
        elif step is Step.ABORT:
            self._line.abort()
        elif step is Step.LEAVE:
            self.leave()
        elif step is Step.LEAVE_NOW:
            self.leave_now()
        elif step is Step.CLOSE:
            self._line.close()

    def turn(self) -> None:
        """Have the client send less or more of its next calls before they are taken; those that run go on."""
        self._narrow = self._crowd.narrow
        self._line.write(frames.settings({frames.INITIAL_WINDOW: self._first_window()}))
        self._streams.narrow(narrow=self._narrow)

    def leave(self) -> None:
        """Tell the client to go elsewhere; calls that are on their way are still taken."""
        if not self._lifetime.leaving:
            self._lifetime.leave(self._loop.time())
            self._line.write(frames.goaway(frames.LAST_STREAM, Code.NO_ERROR))

    def leave_now(self) -> None:
        """Take no more calls; hang up when those that run are done."""
        if self._final == frames.LAST_STREAM:
            self._final = self._streams.last
            self._line.write(frames.goaway(self._streams.last, Code.NO_ERROR))
            self._close_if_idle()

    def close(self) -> None:
        """Hang up once what was written is out."""
        self.leave_now()
        self._line.close()

    def _first_window(self) -> int:
        return NARROW_WINDOW_BYTES if self._narrow else STREAM_WINDOW_BYTES

    def _finished(self, stream: CallStream) -> None:
        """Forget a stream whose answer is out; what the client still sends of it is not wanted."""
        self._streams.pop(stream.number, None)
        if not stream.ended:
            self._line.write(frames.reset(stream.number, Code.NO_ERROR))
        self._close_if_idle()

    def _frames(self, data: bytes) -> int:
        """Take the whole frames of `data`, behind the greeting; return where the rest begins."""
        at = 0
        if not self._greeted:
            at = frames.greeted(data)
            self._greeted = at > 0
        size = len(data)
        while self._greeted and size - at >= frames.HEAD_BYTES:
            start = at + frames.HEAD_BYTES
            head = int.from_bytes(data[at:start], "big")
            length = head >> 48
            if length > frames.FRAME_BYTES:
                raise Http2Error(Code.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            if size < start + length:
                break
            at = start + length
            kind = head >> 40 & 0xFF
            if self._parts is not None and kind != frames.CONTINUATION:
                raise Http2Error(Code.PROTOCOL_ERROR, "headers are cut off by another frame")
            handler = self._handlers.get(kind)
            if handler is not None:
                handler(head >> 32 & 0xFF, head & frames.LAST_STREAM, data[start:at])
        return at

    def _on_data(self, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        self._line.came(size)
        stream = self._streams.get(number)
        if stream is None:
            self._streams.check_past(number, "DATA")
            self._line.took(size)
            return
        if flags & frames.PADDED:
            payload = frames.unpadded(flags & frames.PADDED, payload)
        stream.feed(payload, size, ended=bool(flags & frames.END_STREAM))

    def _on_headers(self, flags: int, number: int, payload: bytes) -> None:
        if flags & (frames.PADDED | frames.PRIORITIZED):
            payload = frames.unpadded(flags, payload)
        if flags & frames.END_HEADERS:
            self._on_block(flags, number, payload)
        else:
            self._parts = Parts(number, flags, self._blocks.most_bytes, bytearray(payload))

    def _on_continuation(self, flags: int, number: int, payload: bytes) -> None:
        self._strike()  # empty ones would else cost nothing, and never end
        parts = self._parts
        if parts is None:
            raise Http2Error(Code.PROTOCOL_ERROR, "headers go on that never began")
        parts.add(number, payload)
        if flags & frames.END_HEADERS:
            self._parts = None
            self._on_block(parts.flags, number, bytes(parts.block))

    def _on_block(self, flags: int, number: int, block: bytes) -> None:
        ended, stream = bool(flags & frames.END_STREAM), self._streams.get(number)
        if stream is not None or number <= self._streams.last:
            # Trailers, of which gRPC's clients send none; also of a call that was refused meanwhile.
            self._blocks.pairs(block)
            self._streams.check_past(number, "HEADERS")
            if stream is not None:
                if not ended:
                    raise Http2Error(Code.PROTOCOL_ERROR, f"stream {number} begins twice")
                stream.feed(b"", 0, ended=True)
            return
        if not number % 2:
            raise Http2Error(Code.PROTOCOL_ERROR, f"a client can't open stream {number}")
        head = self._blocks.head(block)
        self._streams.last = number
        if number > self._final or len(self._streams) >= self._limits.streams:
            self._line.write(frames.reset(number, Code.REFUSED_STREAM))
            return
        refusal = self._taker.refuse(head)
        if refusal is None:
            self._begin(number, head, ended=ended)
            return
        # What still comes of it is counted, and thrown away.
        self._line.write(frames.answered(number, refusal, ended=ended))

    def _begin(self, number: int, head: Head, *, ended: bool) -> None:
        stream = CallStream(number, head, self._line, self._finished)
        stream.ended = ended
        if self._narrow:
            stream.narrow()
        self._streams[number] = stream
        self._new.append(stream)

    def _start(self) -> None:
        """Have the calls answered that began with the last bytes: of most all is there by now."""
        new, self._new = self._new, []
        for stream in new:
            if not stream.gone:
                stream.begin(self._taker)

    def _on_reset(self, _flags: int, number: int, payload: bytes) -> None:
        frames.word(payload, "RST_STREAM")
        self._streams.check_past(number, "RST_STREAM")
        stream = self._streams.pop(number, None)
        if stream is not None:
            self._strike()
            stream.lose()
            self._close_if_idle()

    def _on_settings(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise Http2Error(Code.PROTOCOL_ERROR, f"SETTINGS on stream {number}")
        if flags & frames.ACK:
            return
        self._strike()
        before = self._line.peer.stream_window
        frames.read_settings(payload, self._line.peer)
        self._streams.grow(self._line.peer.stream_window - before)
        self._line.write(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._line.more_room()

    def _on_push(self, _flags: int, _number: int, _payload: bytes) -> None:
        raise Http2Error(Code.PROTOCOL_ERROR, "a client can't push")

    def _on_ping(self, flags: int, number: int, payload: bytes) -> None:
        if number or len(payload) != frames.PING_BYTES:
            raise Http2Error(Code.PROTOCOL_ERROR, f"a PING of {len(payload)} bytes on stream {number}")
        if not flags & frames.ACK:
            self._strike()
            self._line.write(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _on_window(self, _flags: int, number: int, payload: bytes) -> None:
        more = frames.word(payload, "WINDOW_UPDATE")
        if not more:
            raise Http2Error(Code.PROTOCOL_ERROR, "a window that grows by nothing")
        if number:
            self._streams.check_past(number, "WINDOW_UPDATE")
            stream = self._streams.get(number)
            if stream is not None:
                stream.grow(more)
        else:
            self._line.grow(more)
        self._line.more_room()

    def _strike(self) -> None:
        self._strikes += 1
        if self._strikes > MOST_STRIKES:
            raise Http2Error(Code.ENHANCE_YOUR_CALM, "too many frames that ask for nothing")

    def _fail(self, error: Http2Error) -> None:
        log.debug("a connection ends: %s", error)
        self._line.write(frames.goaway(self._streams.last, error.code, str(error)))
        self._line.close()

    def _close_if_idle(self) -> None:
        if self._final != frames.LAST_STREAM and not self._streams:
            self._line.close()
