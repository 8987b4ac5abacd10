"""Binds methods to ASGI, for an HTTP/2 server that sends trailers: gRPC without grpcio's own server.

What listens is another's affair: `handle` is an ASGI application, and `start` only says where that is.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from ensemble.errors import EnsembleError, InvalidRequestError

from . import framing
from . import health as health_service
from .asgi_call import AsgiCall, Receive, Send, deadline_passed
from .calls import Calls, Observer
from .gate import Gate
from .head import Head
from .health import Health
from .method import Method
from .outcome import Outcome
from .short_call import ShortCall
from .status import status_of
from .transport_options import TransportOptions

# How long answers have to leave after a drain, and then what the server holds of them.
LAST_WORDS_SECS = 1.0
FLUSH_SECS = 0.1
OK = grpc.StatusCode.OK

log = logging.getLogger("unisono.wire")

Handle = Callable[[AsgiCall], Awaitable[None]]
Application = Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]


class Host(Protocol):
    """What listens, and sends calls here."""

    @property
    def tells_who_left(self) -> bool:
        """Whether it cancels the calls of a client that has gone; else they are asked for."""
        ...

    async def serve(self, transport: "AsgiTransport") -> int:
        """Send calls to `transport` from now on; return the port. UnavailableError if it can't be had."""
        ...

    async def farewell(self) -> None:
        """Have clients told to go elsewhere, with their next answers."""
        ...

    async def close(self) -> None:
        """Cut off what is left."""
        ...


class WholeCall(Protocol):
    """A call of a host that hands calls over as a whole."""

    @property
    def head(self) -> Head:
        """What it began with."""
        ...

    def body(self) -> bytes:
        """Return all of its request."""
        ...

    def answer(self, body: bytes) -> bool:
        """Answer it as `AsgiCall.answer` does, with this body, at once; False if there is no room."""
        ...

    def start(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run what answers it, as long as its client is there."""
        ...

    def receive(self) -> Awaitable[Mapping[str, Any]]:
        """Give the next of ASGI's events."""
        ...

    async def send(self, event: Mapping[str, Any]) -> None:
        """Take one of ASGI's events."""
        ...


class AsgiTransport:
    """An ASGI application of `methods` and `health`, for `host`. Made and used on the event loop."""

    def __init__(
        self,
        methods: Sequence[Method],
        health: Health,
        *,
        host: Host,
        observer: Observer,
        options: TransportOptions,
        gate: Gate | None = None,
    ) -> None:
        self._health = health
        self._options = options
        self._host = host
        # Held here: the loop itself holds a task that waits only weakly, and nobody else may.
        self._open: set[AsgiCall] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self.calls = Calls(observer, options, gate)
        # A stream is refused message by message.
        self._unary = {f"/{each.service}/{each.name}": each for each in methods if each.refuse is None}
        self._short = {f"/{each.service}/{each.name}": each for each in methods if each.shortcut is not None}
        self._handles: dict[str, Handle] = {
            f"/{health_service.SERVICE}/Check": self._check,
            f"/{health_service.SERVICE}/Watch": self._watch,
            **{f"/{method.service}/{method.name}": self._bind(method) for method in methods},
        }

    async def start(self) -> int:
        """Have calls come, and return the port that they come by. UnavailableError if it can't be had."""
        return await self._host.serve(self)

    def drain(self) -> None:
        """Turn health to NOT_SERVING, then refuse new calls; those that run go on."""
        self._health.drain()
        self.calls.drain()

    async def stop(self, grace_secs: float) -> None:
        """Drain, give running calls `grace_secs` to end, then cut off the rest."""
        self.drain()
        await self.calls.quiet(grace_secs)
        self._health.close()
        await self._host.farewell()
        self.calls.refuse()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECS):
                await self._empty.wait()
                await asyncio.sleep(FLUSH_SECS)
        await self._host.close()

    def turned_away(self, head: Head) -> Outcome | None:
        """Refuse a call by its head alone; None if it is to be answered by `take`."""
        method = self._unary.get(head.path)
        if method is None or not head.speaks_grpc:
            return None
        return self.calls.turned_away(method, head.authorization)

    async def handle(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one call of a server that speaks ASGI."""
        await self.take(Head.of_scope(scope), receive, send)

    async def take(self, head: Head, receive: Receive, send: Send) -> None:
        """Answer one call. Returns early, having said so to nobody, if its client goes away."""
        call = AsgiCall(head, receive, send, self._options, tells_who_left=self._host.tells_who_left)
        await self._held(call, self._handle(head.path, call))

    def wants_all(self, head: Head) -> bool:
        """Whether a call may be one for `shorten`, once its request is there as a whole."""
        return head.path in self._short

    def shorten(self, stream: WholeCall) -> ShortCall | None:
        """Answer a call whose request is there as a whole, if that can be done without a task.

        None if it is for `take`. Who listens cancels what is returned if the client goes away.
        """
        head, body = stream.head, stream.body()
        method = self._short.get(head.path)
        if method is None or not head.speaks_grpc or head.metadata_bytes > self._options.max_metadata_bytes:
            return None
        size = len(body) - framing.PREFIX_BYTES
        # One message, and not packed.
        if size < 0 or body[: framing.PREFIX_BYTES] != framing.prefix(size):
            return None
        return self.calls.shorten(method, head, body[framing.PREFIX_BYTES :], teller=self, to=stream)

    def answered(self, to: WholeCall, data: bytes) -> None:
        """Give a call of `shorten` its answer."""
        if not to.answer(framing.prefix(len(data)) + data):
            to.start(lambda: self._tell(to, lambda call: call.answer(data)))

    def ended(self, to: WholeCall, outcome: Outcome) -> None:
        """Tell a call of `shorten` that it failed."""
        to.start(lambda: self._tell(to, lambda call: call.end(outcome)))

    async def _tell(self, stream: WholeCall, tell: Handle) -> None:
        call = AsgiCall(stream.head, stream.receive, stream.send, self._options, tells_who_left=True)
        await self._held(call, tell(call))

    async def _held(self, call: AsgiCall, work: Awaitable[None]) -> None:
        self._open.add(call)
        self._empty.clear()
        try:
            await work
        except asyncio.CancelledError:
            if not call.gone:
                raise
        except OSError as error:
            # So servers say that the client went away while it was answered.
            log.debug("a caller was lost: %s", error)
        finally:
            self._open.discard(call)
            if not self._open:
                self._empty.set()

    async def _handle(self, path: str, call: AsgiCall) -> None:
        try:
            call.check()
        except EnsembleError as error:
            await call.end(Outcome(*status_of(error)))
            return
        handle = self._handles.get(path)
        if handle is None:
            await call.end(Outcome(grpc.StatusCode.UNIMPLEMENTED, "Method not found!"))
            return
        await handle(call)

    def _bind(self, method: Method) -> Handle:
        async def handle(call: AsgiCall) -> None:
            outcome = await self.calls.answer(method, call, call.only)
            if outcome.code is OK:
                await call.answer(outcome.data)
            else:
                await call.end(outcome)

        async def handle_stream(call: AsgiCall) -> None:
            try:
                async with asyncio.timeout(call.time_remaining()):
                    outcome = await self.calls.stream(method, call)
            except TimeoutError:
                outcome = deadline_passed()
            except ExceptionGroup as errors:
                # What was read of the stream was no message.
                outcome = Outcome(*status_of(errors.exceptions[0]))
            await call.end(outcome)

        return handle if method.refuse is None else handle_stream

    async def _check(self, call: AsgiCall) -> None:
        try:
            response = self._health.check(await _question(call))
        except EnsembleError as error:
            await call.end(Outcome(*status_of(error)))
            return
        await call.answer(response.SerializeToString())

    async def _watch(self, call: AsgiCall) -> None:
        outcome = Outcome(OK)
        try:
            async with asyncio.timeout(call.time_remaining()):
                responses: AsyncIterator[Any] = self._health.watch(await _question(call))
                async for response in responses:
                    await call.write(response.SerializeToString())
        except TimeoutError:
            outcome = deadline_passed()
        except EnsembleError as error:
            outcome = Outcome(*status_of(error))
        await call.end(outcome)


async def _question(call: AsgiCall) -> Any:
    data = await call.only()
    try:
        return health_pb2.HealthCheckRequest.FromString(data or b"")
    except DecodeError as error:
        raise InvalidRequestError("the bytes are not a HealthCheckRequest") from error
