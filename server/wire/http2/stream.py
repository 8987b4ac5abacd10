"""One stream of a connection: a call, with ASGI's two ways to speak, within HTTP/2's windows."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..head import Head
from .frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    MOST_WINDOW,
    Code,
    Http2Error,
    MalformedError,
    frame,
    reset,
    window_update,
)
from .header_blocks import answer_block
from .line import STREAM_WINDOW_BYTES, WIDER_BYTES, Line
from .plain_answer import plain_answer
from .request_rules import body_bytes
from .taker import Cancellable, Taker

GONE = {"type": "http.disconnect"}

log = logging.getLogger("unisono.wire")


class ClientGoneError(OSError):
    """Nobody is there to be answered: ASGI wants an OSError."""


class CallStream:
    """A call that runs. Frames come in by `feed`; the application uses `receive` and `send`."""

    __slots__ = (
        "_begun",
        "_due",
        "_finished",
        "_grown",
        "_held",
        "_line",
        "_loop",
        "_out",
        "_owed",
        "_room",
        "_spare",
        "_told_end",
        "_trailers",
        "_waiting",
        "_window",
        "answered",
        "ended",
        "gone",
        "head",
        "number",
        "size",
        "task",
    )

    def __init__(self, number: int, head: Head, line: Line, finished: Callable[["CallStream"], None]) -> None:
        self.number = number
        self.head = head
        self.ended = False  # the request is
        self.answered = False
        self.gone = False
        self.task: Cancellable | None = None
        self._line, self._finished = line, finished
        self._window = line.peer.stream_window  # what the client takes
        self._room = STREAM_WINDOW_BYTES  # what we take
        # Whether the client has WIDER_BYTES more than we need; None: it never had.
        self._spare: bool | None = None
        self._owed = 0  # of what was read: the room that the client wasn't told of
        self._loop = line.loop
        self._due = body_bytes(head)  # of a request that says how long it is, what hasn't come
        self._grown: asyncio.Future[None] | None = None  # who waits for a larger window
        self._held: bytes | bytearray = b""
        self.size = 0  # of what is held, as windows count it
        self._told_end = False
        self._waiting: asyncio.Future[Mapping[str, Any]] | None = None
        self._begun = b""  # headers that aren't sent
        self._out: list[bytes] = []  # what is sent with what follows it
        self._trailers = False  # come at the end

    def feed(self, data: bytes, size: int, *, ended: bool) -> None:
        """Take a part of the request, which took `size` bytes of the windows.

        MalformedError if it isn't as long as it says, Http2Error if it isn't what may come now.
        """
        if self.ended:
            raise Http2Error(Code.STREAM_CLOSED, f"stream {self.number} goes on after its end")
        self._room -= size
        if self._room < 0:
            raise Http2Error(Code.FLOW_CONTROL_ERROR, f"stream {self.number} has more than its window")
        self._hold(data)
        self.size += size
        self.ended = ended
        if self._due is not None:
            self._due -= len(data)
            if self._due < 0 or (ended and self._due):
                raise MalformedError(f"stream {self.number} isn't as long as its content-length says")
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(self._event())

    def _hold(self, data: bytes) -> None:
        """Keep it until it is asked for, in one piece: each of many small ones would take far more."""
        if not self._held:
            self._held = data
        elif data:
            if isinstance(self._held, bytes):
                self._held = bytearray(self._held)
            self._held += data

    def grow(self, more: int) -> None:
        """Let the application send so many bytes more."""
        self._window += more
        if self._window > MOST_WINDOW:
            raise Http2Error(Code.FLOW_CONTROL_ERROR, f"stream {self.number} has too large a window")
        if self._window > 0 and self._grown is not None and not self._grown.done():
            self._grown.set_result(None)

    def narrow(self) -> None:
        """Give the client again what it loses of its window as calls begin with less."""
        if self._spare:
            self._spare = False
        elif not self.ended:
            self._line.write(window_update(self.number, WIDER_BYTES))

    def widen(self) -> None:
        """Take note that the client's window grows as calls begin with more."""
        if self._spare is None:
            self._room += WIDER_BYTES
        self._spare = True

    def lose(self) -> None:
        """End the application: its client has gone."""
        self.gone = True
        self._line.took(self.size)
        self._held, self.size = b"", 0
        if self.task is not None:
            self.task.cancel()

    def body(self) -> bytes:
        """Return what has come of the request, which `receive` gives all the same."""
        self._held = bytes(self._held)
        return self._held

    def answer(self, body: bytes) -> bool:
        """Answer with one message and OK, in one piece; False if there is no room for that now."""
        size = len(body)
        if size > self._window or size > self._line.may_send() or self._line.peer.shrank:
            return False
        self._line.sent(size)
        self._window -= size
        self._out.append(plain_answer(self.number, body))
        self._finish()
        return True

    def begin(self, taker: Taker) -> None:
        """Have the call answered."""
        short = taker.shorten(self) if self.ended else None
        if short is None:
            self.start(lambda: taker.take(self.head, self))
        elif not (self.answered or self.task):  # it is, or will be, by now
            self.task = short

    def start(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run what answers the call. It isn't called if the client has gone by then."""
        self.task = self._loop.create_task(self._run(work))

    async def _run(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception:
            log.exception("a call failed in the transport")
        finally:
            if not (self.answered or self.gone):
                self.answered = self.ended = True
                self._line.write(reset(self.number, Code.INTERNAL_ERROR))
                self._finished(self)

    def receive(self) -> asyncio.Future[Mapping[str, Any]]:
        """Give what has come of the request, or what comes next; after its end, wait for the client to go."""
        future: asyncio.Future[Mapping[str, Any]] = self._loop.create_future()
        if self.gone:
            future.set_result(GONE)
        elif self.size or (self.ended and not self._told_end):
            future.set_result(self._event())
        else:
            self._waiting = future
        return future

    async def send(self, event: Mapping[str, Any]) -> None:
        """Send a part of the answer; the last parts leave together. ClientGoneError if nobody is there."""
        if self.gone:
            raise ClientGoneError("the client has gone")
        kind = event["type"]
        if kind == "http.response.body":
            await self._body(event["body"], more=event["more_body"])
        elif kind == "http.response.start":
            self._begun = answer_block(tuple(event["headers"]), status=True)
            self._trailers = event.get("trailers", False)
        else:
            block = answer_block(tuple(event["headers"]), status=False)
            self._out.append(frame(HEADERS, END_HEADERS | END_STREAM, self.number, block))
            self._finish()

    async def _body(self, body: bytes, *, more: bool) -> None:
        last = not more and not self._trailers
        if self._begun:
            # gRPC's clients read a status from headers only if nothing at all follows.
            ends = END_STREAM if last and not body else 0
            block = self._line.said() + self._begun
            self._out.append(frame(HEADERS, END_HEADERS | ends, self.number, block))
            self._begun = b""
        elif last and not body:
            self._out.append(frame(DATA, END_STREAM, self.number))
        await self._parts(body, last=last, more=more)
        if last:
            self._finish()
        elif more:
            self._flush()

    async def _parts(self, body: bytes, *, last: bool, more: bool) -> None:
        """Write what is there of a body in frames, each as soon as there is room for it.

        TimeoutError if an answer that is whole waits long for a client that takes nothing, of any answer.
        """
        at, left = 0, len(body)
        while left:
            size = min(left, self._window, self._line.may_send())
            if size <= 0:
                self._flush()
                await self._wait(None if more else self._line.patience_secs)
                continue
            part = body if size == len(body) else body[at : at + size]
            self._line.sent(size)
            self._window, at, left = self._window - size, at + size, left - size
            self._out.append(frame(DATA, END_STREAM if last and not left else 0, self.number, part))
        self._line.more_room()

    async def _wait(self, patience_secs: float | None) -> None:
        before = self._line.sent_bytes
        try:
            async with asyncio.timeout(patience_secs):
                await self._until_room()
        except TimeoutError:
            if self._line.sent_bytes == before:
                raise

    async def _until_room(self) -> None:
        """Wait until more may be sent, perhaps."""
        if self._window > 0:
            await self._line.room()
            return
        self._line.more_room()  # what woke this one may be for another
        self._grown = self._loop.create_future()
        await self._grown

    def _finish(self) -> None:
        self.answered = True
        self._flush()
        self._line.took(self.size)
        self.size = 0
        self._finished(self)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out:
            self._line.write(out[0] if len(out) == 1 else b"".join(out))

    def _event(self) -> Mapping[str, Any]:
        held, size = self._held, self.size
        self._held, self.size, self._waiting, self._told_end = b"", 0, None, self.ended
        self._took(size)
        return {"type": "http.request", "body": bytes(held), "more_body": not self.ended}

    def _took(self, size: int) -> None:
        """Count bytes that were read; while the request goes on, tell the client of the room for more."""
        self._line.took(size)
        self._owed += size
        if self._owed >= STREAM_WINDOW_BYTES // 2 and not self.ended:
            self._line.write(window_update(self.number, self._owed))
            self._room, self._owed = self._room + self._owed, 0
