"""One gRPC call over ASGI: what it brings, message by message, and what it is answered."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc

from ensemble.errors import InvalidRequestError

from . import framing
from .head import Head
from .outcome import MessageTooLargeError, Outcome
from .transport_options import TransportOptions

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

CONTENT_TYPE = (b"content-type", b"application/grpc")
ACCEPTS = (b"grpc-accept-encoding", framing.ENCODINGS.encode())
PLAIN_START: Mapping[str, Any] = {
    "type": "http.response.start",
    "status": 200,
    "headers": [CONTENT_TYPE, ACCEPTS],
    "trailers": True,
}
DONE: Mapping[str, Any] = {
    "type": "http.response.trailers",
    "headers": [(b"grpc-status", b"0")],
    "more_trailers": False,
}
NO_MORE = {"type": "http.response.body", "body": b"", "more_body": False}
# A call that takes this long is looked after: is its client still there? Then twice as long, and so on.
LOOK_AFTER_SECS, LOOK_AT_MOST_SECS = 0.05, 0.4
# Smaller answers don't gain by it.
WORTH_PACKING_BYTES = 1024


class AsgiCall:
    """A call, as `Calls` wants it. Made in the task that handles it, cancelled if the client goes.

    Whether the client is still there is asked now and then, unless `tells_who_left`: then who calls this
    cancels the task by itself.
    """

    def __init__(
        self,
        head: Head,
        receive: Receive,
        send: Send,
        options: TransportOptions,
        *,
        tells_who_left: bool = False,
    ) -> None:
        self.head = head
        self.metadata = head.metadata
        self.authorization = head.authorization
        self._receive, self._send = receive, send
        self._options = options
        self._most = options.max_message_bytes
        self._deadline: float | None = None
        self._tells_who_left = tells_who_left
        self._task = None if tells_who_left else asyncio.current_task()
        self._held = b""
        self._pending: asyncio.Future[Mapping[str, Any]] | None = None
        self._ended = False  # the request is; nothing more comes
        self._packing = framing.IDENTITY
        self._started = False
        self._watch: asyncio.TimerHandle | None = None
        self.gone = False

    def check(self) -> None:
        """Raise what a call is refused for before anybody asks what it is about."""
        head, most = self.head, self._options.max_metadata_bytes
        if not head.speaks_grpc:
            raise InvalidRequestError("this port speaks gRPC: POST with content-type application/grpc")
        if head.metadata_bytes > most:
            raise MessageTooLargeError("metadata", head.metadata_bytes, most)
        timeout = head.timeout_secs()
        if timeout is not None:
            self._deadline = asyncio.get_running_loop().time() + timeout

    def time_remaining(self) -> float | None:
        """Return the seconds until the caller's deadline; None if it has none."""
        return None if self._deadline is None else self._deadline - asyncio.get_running_loop().time()

    async def only(self) -> bytes | None:
        """Read the message of a call that has one, and from then on look after the client."""
        message = await self.read()
        if not self._tells_who_left:
            self._look_after(LOOK_AFTER_SECS)
        return message

    async def read(self) -> bytes | None:
        """Read the next message; None says that no more come. Raises what is wrong with it."""
        if not (self._held or self._ended):
            self._held = await self._piece()
        if not await self._has(framing.PREFIX_BYTES):
            if self._held:
                raise InvalidRequestError(
                    f"the call ends after {len(self._held)} bytes of a message's prefix"
                )
            return None
        length = int.from_bytes(self._held[1 : framing.PREFIX_BYTES], "big")
        framing.check_length(length, self._most)
        end = framing.PREFIX_BYTES + length
        if not await self._has(end):
            raise InvalidRequestError(f"the call ends after {len(self._held)} of a message's {end} bytes")
        packed, message = self._held[0], self._held[framing.PREFIX_BYTES : end]
        self._held = self._held[end:] if len(self._held) > end else b""
        if not packed:
            return message
        encoding = self.head.headers.get("grpc-encoding", framing.IDENTITY)
        message = framing.unpacked(message, encoding, self._most)
        # A client that takes the trouble gets its answer so too.
        if encoding in self.head.headers.get("grpc-accept-encoding", ""):
            self._packing = encoding
        return message

    async def write(self, data: bytes) -> None:
        """Send one message of several; waits where the client doesn't keep up."""
        await self._start(self._encoding(data))
        await self._sent({"type": "http.response.body", "body": self._framed(data), "more_body": True})

    async def answer(self, data: bytes) -> None:
        """Send the one message of a call that went well, and end it."""
        await self._start(self._encoding(data))
        await self._send({"type": "http.response.body", "body": self._framed(data), "more_body": False})
        await self._send(DONE)
        self._forget()

    async def end(self, outcome: Outcome) -> None:
        """End the call with its status."""
        self._forget()
        if self._started:
            status = status_headers(outcome)
            await self._send(NO_MORE)
            await self._send({"type": "http.response.trailers", "headers": status, "more_trailers": False})
            return
        headers = only_headers(outcome)
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send(NO_MORE)

    def _encoding(self, data: bytes) -> str:
        return self._packing if len(data) >= WORTH_PACKING_BYTES else framing.IDENTITY

    def _framed(self, data: bytes) -> bytes:
        return framing.framed(data, self._encoding(data))

    async def _start(self, encoding: str) -> None:
        if self._started:
            return
        self._started = True
        start: Mapping[str, Any] = PLAIN_START
        if encoding != framing.IDENTITY or self._packing != framing.IDENTITY:
            headers = [CONTENT_TYPE, ACCEPTS, (b"grpc-encoding", self._packing.encode())]
            start = {**PLAIN_START, "headers": headers}
        await self._send(start)

    async def _sent(self, event: Mapping[str, Any]) -> None:
        try:
            await self._send(event)
        except OSError:
            self._leave()
            await asyncio.sleep(0)  # where the cancellation arrives

    async def _has(self, size: int) -> bool:
        """Receive until `size` bytes are held; say whether they are."""
        if len(self._held) >= size:
            return True
        pieces, held = [self._held], len(self._held)
        while held < size and not self._ended:
            piece = await self._piece()
            held += len(piece)
            pieces.append(piece)
        self._held = b"".join(pieces)
        return held >= size

    async def _piece(self) -> bytes:
        # Shielded: the server's loop would complain about an answer to what was cancelled.
        if self._pending is None:
            self._pending = asyncio.ensure_future(self._receive())
        event = await asyncio.shield(self._pending)
        self._pending = None
        if event["type"] == "http.disconnect":
            self._ended = True
            self._leave()
            await asyncio.sleep(0)
            return b""
        self._ended = not event.get("more_body", False)
        body: bytes = event.get("body", b"")
        return body

    def _look_after(self, secs: float) -> None:
        """Ask, some time from now and again, whether the client is still there.

        Servers differ in what they answer after the request's end: some wait until the client goes, some
        say at once that nothing came.
        """
        self._watch = asyncio.get_running_loop().call_later(secs, self._look, secs)

    def _look(self, secs: float) -> None:
        def told(future: "asyncio.Future[Mapping[str, Any]]") -> None:
            if self._watch is None or future.cancelled() or future.exception() is not None:
                return
            if future.result()["type"] == "http.disconnect":
                self._leave()
            else:
                self._look_after(min(2 * secs, LOOK_AT_MOST_SECS))

        asyncio.ensure_future(self._receive()).add_done_callback(told)

    def _forget(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _leave(self) -> None:
        self._forget()
        self.gone = True
        if self._task is not None:
            self._task.cancel()


def status_headers(outcome: Outcome) -> Headers:
    """Write how a call ends as headers."""
    status = [(b"grpc-status", str(outcome.code.value[0]).encode())]
    if outcome.text:
        status.append((b"grpc-message", framing.encoded_text(outcome.text)))
    return [*status, *((name.encode(), value.encode()) for name, value in outcome.trailing)]


def only_headers(outcome: Outcome) -> Headers:
    """Write an answer that is nothing but how the call ends."""
    return [CONTENT_TYPE, ACCEPTS, *status_headers(outcome)]


def deadline_passed() -> Outcome:
    """Say how a stream ends whose deadline passes."""
    return Outcome(grpc.StatusCode.DEADLINE_EXCEEDED, "deadline passed before the stream was done")
