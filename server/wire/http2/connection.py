"""One connection: its frames in, its windows, its end. What a call is about, streams and others know.

Rule: whatever a peer sends, what is held for it is bounded: what it has not been given room for ends the
connection, and while it doesn't read, it isn't read either.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import cast

from ..head import Head, Pairs
from . import frames
from .crowd import Crowd
from .frames import Code, Http2Error, MalformedError
from .header_blocks import HeaderBlocks
from .lifetime import ConnectionLimits, Lifetime, Step
from .line import CONNECTION_WINDOW_BYTES, NARROW_WINDOW_BYTES, STREAM_WINDOW_BYTES, Line
from .reading import Handler, Reader
from .request_rules import check_alone, check_trailers
from .starts import Starts
from .stream import CallStream
from .streams import Streams
from .strikes import Strikes
from .taker import Taker

# Settings change a window of every stream: so many streams count as one strike more.
STREAMS_A_STRIKE = 32
PING_DATA = b"unisono."

log = logging.getLogger("unisono.wire")


class Connection(asyncio.Protocol):
    """A connection of one client, one of `peers` while it is open.

    While there is a `crowd` little is sent of a call until it is taken.
    """

    def __init__(
        self, taker: Taker, starts: Starts, limits: ConnectionLimits, crowd: Crowd, peers: set["Connection"]
    ) -> None:
        self._taker, self._starts, self._limits, self._crowd = taker, starts, limits, crowd
        self._peers, self._narrow = peers, crowd.narrow
        self._loop = asyncio.get_running_loop()
        self._line = Line(limits.answer_secs)
        self._blocks = HeaderBlocks(limits.header_bytes)
        self._streams = Streams()
        self._final = frames.LAST_STREAM  # the last that will be taken
        self._strikes = Strikes()
        self._lifetime = Lifetime(limits, self._loop.time())
        handlers: Mapping[int, Handler] = {
            frames.DATA: self._on_data,
            frames.HEADERS: self._on_block,
            frames.PRIORITY: self._on_priority,
            frames.RST_STREAM: self._on_reset,
            frames.SETTINGS: self._on_settings,
            frames.PUSH_PROMISE: self._on_push,
            frames.PING: self._on_ping,
            frames.GOAWAY: self._on_goaway,
            frames.WINDOW_UPDATE: self._on_window,
        }
        self._reader = Reader(handlers, self._strikes.add, self._blocks.most_bytes)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet: say what may be sent. One too many is closed."""
        self._line.opened(cast(asyncio.Transport, transport))
        if len(self._peers) >= self._limits.connections:
            self._line.abort()
            return
        self._peers.add(self)
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
        if self._line.closed:
            return  # TLS may still have bytes after that
        self._lifetime.heard = True
        self._line.gather()
        try:
            self._reader.read(data)
        except Http2Error as error:
            self._fail(error)
        self._starts.begin()
        self._line.let_go()
        self._crowd.was_read()

    def connection_lost(self, _error: Exception | None) -> None:
        """End what runs."""
        self._line.lost()
        self._crowd.part(self._line)
        self._streams.lose()
        self._peers.discard(self)

    def pause_writing(self) -> None:
        """Read no more of a client that doesn't read."""
        self._line.fill(full=True)

    def resume_writing(self) -> None:
        """Go on."""
        self._line.fill(full=False)

    def look(self, now: float) -> None:
        """Ask a silent peer whether it is there, and end what is too old. Called about once a second."""
        self._strikes.forgive()
        step = self._lifetime.step(now, greeted=self._reader.greeted)
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

    def _on_data(self, flags: int, number: int, payload: bytes) -> None:
        size, ended = len(payload), bool(flags & frames.END_STREAM)
        if flags & frames.PADDED:
            payload = frames.unpadded(frames.PADDED, payload)
        if not (payload or ended):
            self._strikes.add()
        self._line.came(size)
        stream = self._streams.get(number)
        if stream is None:
            self._streams.check_past(number, "DATA")
            self._line.took(size)
            return
        try:
            stream.feed(payload, size, ended=ended)
        except MalformedError as error:
            self._spoil(number, error)
        else:
            self._starts.fed(stream)

    def _on_block(self, flags: int, number: int, block: bytes) -> None:
        ended = bool(flags & frames.END_STREAM)
        if number <= self._streams.last:
            self._on_trailers(number, self._blocks.pairs(block), ended=ended)
            return
        if not number % 2:
            raise Http2Error(Code.PROTOCOL_ERROR, f"a client can't open stream {number}")
        self._streams.last = number
        try:
            head = self._blocks.head(block)
            if ended:
                check_alone(head)
        except MalformedError as error:
            self._spoil(number, error)
            return
        if number > self._final or len(self._streams) >= self._limits.streams:
            self._line.write(frames.reset(number, Code.REFUSED_STREAM))
            return
        refusal = self._taker.refuse(head)
        if refusal is None:
            self._begin(number, head, ended=ended)
            return
        # What still comes of it is counted, and thrown away.
        self._line.write(frames.answered(number, self._line.said() + refusal, ended=ended))

    def _on_trailers(self, number: int, pairs: Pairs, *, ended: bool) -> None:
        """Gracefully: gRPC's clients send none. They may also be of a call that was refused meanwhile."""
        self._streams.check_past(number, "HEADERS")
        stream = self._streams.get(number)
        if stream is None:
            if any(name == b":method" for name, _ in pairs):
                raise Http2Error(Code.PROTOCOL_ERROR, f"stream {number} begins after {self._streams.last}")
            return
        if not (ended or stream.ended):
            raise Http2Error(Code.PROTOCOL_ERROR, f"stream {number} begins twice")
        try:
            stream.feed(b"", 0, ended=True)
            check_trailers(pairs)
        except MalformedError as error:
            self._spoil(number, error)
        else:
            self._starts.fed(stream)

    def _begin(self, number: int, head: Head, *, ended: bool) -> None:
        stream = CallStream(number, head, self._line, self._finished)
        stream.ended = ended
        if self._narrow:
            stream.narrow()
        self._streams[number] = stream
        self._starts.add(stream)

    def _on_reset(self, _flags: int, number: int, payload: bytes) -> None:
        frames.word(payload, "RST_STREAM")
        self._streams.check_past(number, "RST_STREAM")
        if number in self._streams:
            self._drop(number)

    def _spoil(self, number: int, error: MalformedError) -> None:
        log.debug("stream %d ends: %s", number, error)
        self._line.write(frames.reset(number, error.code))
        self._drop(number)

    def _drop(self, number: int) -> None:
        """Forget a stream that ends before its time; a client can have many end, whoever ends them."""
        self._strikes.add()
        stream = self._streams.pop(number, None)
        if stream is not None:
            self._starts.remove(stream)
            stream.lose()
            self._close_if_idle()

    def _on_priority(self, _flags: int, number: int, payload: bytes) -> None:
        frames.check_priority(number, payload)
        self._strikes.add()

    def _on_settings(self, flags: int, number: int, payload: bytes) -> None:
        sizes = frames.ACK_SIZES if flags & frames.ACK else frames.SETTINGS_SIZES
        frames.check_connections_own("SETTINGS", number, payload, sizes=sizes)
        if flags & frames.ACK:
            return
        self._strikes.add(1 + len(self._streams) // STREAMS_A_STRIKE)
        before = self._line.peer.stream_window
        frames.read_settings(payload, self._line.peer)
        self._streams.grow(self._line.peer.stream_window - before)
        self._line.write(frames.frame(frames.SETTINGS, frames.ACK, 0))

    def _on_push(self, _flags: int, _number: int, _payload: bytes) -> None:
        raise Http2Error(Code.PROTOCOL_ERROR, "a client can't push")

    def _on_ping(self, flags: int, number: int, payload: bytes) -> None:
        frames.check_connections_own("PING", number, payload, sizes=frames.PING_SIZES)
        if not flags & frames.ACK:
            self._strikes.add()
            self._line.write(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _on_goaway(self, _flags: int, number: int, payload: bytes) -> None:
        """Check it: the client ends the connection itself, when its calls are answered."""
        frames.check_connections_own("GOAWAY", number, payload, sizes=frames.GOAWAY_SIZES)
        self._strikes.add()

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

    def _fail(self, error: Http2Error) -> None:
        log.debug("a connection ends: %s", error)
        self._line.write(frames.goaway(self._streams.last, error.code, str(error)))
        self._line.close()

    def _close_if_idle(self) -> None:
        if self._final != frames.LAST_STREAM and not self._streams:
            self._line.close()
