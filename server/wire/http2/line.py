"""What one connection may send and take, in bytes: its windows, and the socket's own room."""

import asyncio
import socket
from contextlib import suppress

from . import frames
from .frames import Code, Http2Error

# What a client may send before somebody reads it: of one call, and of all calls of a connection.
STREAM_WINDOW_BYTES, CONNECTION_WINDOW_BYTES = 2**20, 16 * 2**20
# And of a call that may well be refused: what is no more than this isn't worth to be asked for.
NARROW_WINDOW_BYTES = 1024
WIDER_BYTES = STREAM_WINDOW_BYTES - NARROW_WINDOW_BYTES
# While it rests, so much must be there before anybody is woken for it.
RESTING_BYTES = 2**16
# Of HPACK: the table that header blocks refer to has no room from now on. Ours never refer to it.
EMPTY_TABLE = b"\x20"


class Line:
    """The way to one client, who has `patience_secs` to take some of an answer. Used on the event loop."""

    def __init__(self, patience_secs: float) -> None:
        self.patience_secs = patience_secs
        self.peer = frames.Peer()
        self.loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._gathered: list[bytes] | None = None
        self._socket: socket.socket | None = None
        self._full = False  # the client doesn't read
        self._window = frames.FIRST_WINDOW  # what it takes
        self.sent_bytes = 0  # of DATA, ever
        self._room, self._owed = CONNECTION_WINDOW_BYTES, 0
        self._waiting: dict[asyncio.Future[None], None] = {}  # for room to send, first come, first served
        self.closed = False

    def opened(self, transport: asyncio.Transport) -> None:
        """Begin."""
        self._transport = transport
        self._socket = transport.get_extra_info("socket")

    def lost(self) -> None:
        """Nobody is there any more."""
        self._transport, self._socket, self.closed = None, None, True

    def write(self, data: bytes) -> None:
        """Send bytes, if anybody is there, with what else is written before the loop goes on.

        A batch answers many calls of one client at once, and each call to the kernel takes some 15 us.
        """
        if self._gathered is None:
            self._gathered = []
            self.loop.call_soon(self.let_go)
        self._gathered.append(data)

    def gather(self) -> None:
        """Keep what is written until `let_go`."""
        if self._gathered is None:
            self._gathered = []

    def let_go(self) -> None:
        """Send what was kept."""
        gathered, self._gathered = self._gathered, None
        if gathered and self._transport is not None:
            self._transport.write(gathered[0] if len(gathered) == 1 else b"".join(gathered))

    def close(self) -> None:
        """Hang up once what was written is out; nothing is read from now on."""
        self.closed = True
        self.let_go()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Hang up now."""
        if self._transport is not None:
            self._transport.abort()

    def may_send(self) -> int:
        """Return how many bytes of DATA one frame may have now."""
        return 0 if self._full else min(self._window, self.peer.frame_bytes)

    def sent(self, size: int) -> None:
        """Count so many bytes of DATA that were sent."""
        self._window -= size
        self.sent_bytes += size

    async def room(self) -> None:
        """Wait until more may be sent, perhaps. Who has sent what it can calls `more_room` for the next."""
        future = self.loop.create_future()
        self._waiting[future] = None
        try:
            await future
        except asyncio.CancelledError:
            self._waiting.pop(future, None)
            self.more_room()  # it may have been woken for room that it doesn't want any more
            raise

    def more_room(self) -> None:
        """Have the next look who waits, if there is room: to wake all for each byte would cost far more."""
        while self._waiting and self.may_send() > 0:
            future = next(iter(self._waiting))
            del self._waiting[future]
            if not future.done():
                future.set_result(None)
                return

    def said(self) -> bytes:
        """Return what the next header block has to begin with: RFC 9113, section 4.3.1."""
        if not self.peer.shrank:
            return b""
        self.peer.shrank = False
        return EMPTY_TABLE

    def grow(self, more: int) -> None:
        """Let so many bytes more be sent."""
        self._window += more
        if self._window > frames.MOST_WINDOW:
            raise Http2Error(Code.FLOW_CONTROL_ERROR, "too large a window of the connection")
        self.more_room()

    def fill(self, *, full: bool) -> None:
        """Read no more of a client that doesn't read: answers to what it sends would pile up."""
        self._full = full
        if self._transport is not None and not self._transport.is_closing():
            (self._transport.pause_reading if full else self._transport.resume_reading)()
        if not full:
            self.more_room()

    def rest(self, *, resting: bool) -> None:
        """Be woken by much alone, or by anything again.

        Not by pausing: libuv is woken once more for each socket that it was told to leave alone.
        """
        if self._socket is not None:
            with suppress(OSError):
                self._socket.setsockopt(
                    socket.SOL_SOCKET, socket.SO_RCVLOWAT, RESTING_BYTES if resting else 1
                )

    def came(self, size: int) -> None:
        """Count so many bytes of DATA that came; Http2Error if there was no room for them."""
        self._room -= size
        if self._room < 0:
            raise Http2Error(Code.FLOW_CONTROL_ERROR, "more than the window of the connection")

    def took(self, size: int) -> None:
        """Count so many bytes that were read, and tell the client of the room where it is worth it."""
        self._owed += size
        if self._owed >= CONNECTION_WINDOW_BYTES // 2:
            self.write(frames.window_update(0, self._owed))
            self._room, self._owed = self._room + self._owed, 0
