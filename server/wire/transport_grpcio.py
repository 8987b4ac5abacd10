"""Binds methods to grpc.aio: bytes, deadlines, status codes, drain. The only module that does.

Messages are parsed and written here, not by gRPC's own hooks, so that a call that fails there is
answered and counted like any other.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol

import grpc
from google.protobuf.message import DecodeError

from ensemble.errors import EnsembleError, InvalidRequestError, UnavailableError

from .call import Call, until
from .gate import Gate
from .health import Health
from .method import Method
from .status import retry_hint, status_of
from .stream_grpcio import Outcome, Stream
from .transport_options import TransportOptions

__all__ = ["GrpcTransport", "TransportOptions"]

SHUTTING_DOWN = "GRPC server is shutting down and has stopped accepting new requests."
# A drain is over when no call has come for so long; callers that ask again without pause, and so never
# are quiet, are waited for no longer than this.
QUIET_SECS = 0.1
LINGER_SECS = 2.0
# gRPC counts what remains of a deadline on the wall clock, which may be set while it counts.
CLOCK_SLACK_SECS = 0.05
# So soon after a call has ended its handler hears of it.
CANCEL_SECS = 0.1
# A stream with this metadata, "true", ends at the first request that fails.
END_ON_ERROR = "triton_grpc_error"
STREAM_AGED = "the stream has reached the age that this server lets one reach; open another"
AUTHORIZATION = "authorization"

log = logging.getLogger("unisono.wire")


class Observer(Protocol):
    """Who hears of every finished call."""

    def handled(self, *, method: str, model: str, version: str, code: str, seconds: float) -> None:
        """Take note of one finished call, exactly once. `model` and `version` are empty if none was found.

        `code` is the gRPC code's name, as in "NOT_FOUND".
        """
        ...


class GrpcTransport:
    """A grpc.aio server of `methods` and `health`. Made and used on the event loop."""

    def __init__(
        self,
        methods: Sequence[Method],
        health: Health,
        *,
        observer: Observer,
        options: TransportOptions,
        gate: Gate | None = None,
    ) -> None:
        self._methods = methods
        self._health = health
        self._observer = observer
        self._options = options
        self._gate = gate or Gate()
        self._server: Any = None
        self._draining = False
        self._running = 0  # calls that were accepted: those refused in a drain don't count
        self._arrived = 0
        self._streams: set[Stream] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._refusing = asyncio.Event()
        self._refusing.set()

    async def start(self) -> int:
        """Listen, and return the port. Raises UnavailableError if the address can't be had."""
        server = grpc.aio.server(options=self._options.channel_arguments())
        server.add_generic_rpc_handlers((self._health.handler(), *self._handlers()))
        try:
            port = self._listen(server)
        except RuntimeError as error:
            raise UnavailableError(
                f"can't listen on {self._options.address}: in use, not allowed, or no address of this "
                "machine; choose another, or end the process that has it"
            ) from error
        await server.start()
        self._server = server
        return port

    def _listen(self, server: Any) -> int:
        credentials = self._gate.grpc_credentials()
        if credentials is None:
            return int(server.add_insecure_port(self._options.address))
        return int(server.add_secure_port(self._options.address, credentials))

    def drain(self) -> None:
        """Turn health to NOT_SERVING, then refuse new calls; those that run go on."""
        self._health.drain()
        self._draining = True
        for stream in self._streams:
            stream.close()

    async def stop(self, grace_secs: float) -> None:
        """Drain, give running calls `grace_secs` to end, then cut off the rest and stop listening."""
        self.drain()
        if self._server is None:
            return
        loop = asyncio.get_running_loop()
        end = loop.time() + grace_secs
        try:
            async with asyncio.timeout_at(end):
                await self._idle.wait()
                await self._quiet()
        except TimeoutError:
            log.warning("%d calls still run after %s s of grace; cutting off", self._running, grace_secs)
        self._health.close()
        # What is left of the grace: answers may still be on their way out.
        stopping = asyncio.create_task(self._server.stop(max(end - loop.time(), 0)))
        # Now gRPC has told clients that the connection ends. Whoever is refused after that asks elsewhere.
        await asyncio.sleep(0)
        self._refusing.set()
        await stopping

    async def _quiet(self) -> None:
        """Hold refusals back until no call has come for a moment, or callers have had time to go elsewhere.

        gRPC's own shutdown answers calls that it has taken in but not yet handed over with CANCELLED,
        which clients don't retry; here they get their refusal. Who waits for it can't ask again.
        """
        self._refusing.clear()
        for _ in range(round(LINGER_SECS / QUIET_SECS)):
            arrived = self._arrived
            await asyncio.sleep(QUIET_SECS)
            if self._arrived == arrived:
                return

    def _handlers(self) -> Iterable[Any]:
        services: dict[str, dict[str, Any]] = {}
        for method in self._methods:
            services.setdefault(method.service, {})[method.name] = self._bind(method)
        return [grpc.method_handlers_generic_handler(name, handlers) for name, handlers in services.items()]

    def _bind(self, method: Method) -> Any:
        if method.refuse is not None:

            async def handle_stream(_requests: Any, context: Any) -> None:
                await self._handle_stream(method, context)

            return grpc.stream_stream_rpc_method_handler(handle_stream)

        async def handle(_requests: Any, context: Any) -> bytes:
            outcome = await self._outcome(method, context, context.read)
            if outcome.code is not grpc.StatusCode.OK:
                await context.abort(outcome.code, outcome.text, outcome.trailing)
            return outcome.data

        # Bound as a stream of requests, of which one is read: so a call can be refused before it is.
        return grpc.stream_unary_rpc_method_handler(handle)

    async def _handle_stream(self, method: Method, context: Any) -> None:
        """Answer every request of one stream; a drain ends the stream once those taken have their answers."""
        metadata = _metadata(context)
        await self._check_stream(method, context, metadata.get(AUTHORIZATION, ""))
        stream = Stream(
            context,
            lambda data: self._outcome(method, context, _given(data)),
            end_on_error=metadata.get(END_ON_ERROR) == "true",
            max_bytes=self._options.max_message_bytes,
        )
        self._streams.add(stream)
        if self._draining:
            stream.close()
        aged = asyncio.get_running_loop().call_later(self._options.max_connection_age_secs, stream.close)
        try:
            failed = await stream.run()
        finally:
            aged.cancel()
            self._streams.discard(stream)
        if failed is not None:
            await context.abort(failed.code, failed.text, failed.trailing)
        if stream.closed:
            await context.abort(grpc.StatusCode.UNAVAILABLE, SHUTTING_DOWN if self._draining else STREAM_AGED)

    async def _check_stream(self, method: Method, context: Any, authorization: str) -> None:
        """End a stream that its token doesn't open before anything of it is read."""
        try:
            self._gate.check(method, authorization)
        except EnsembleError as error:
            code, text = status_of(error)
            self._observer.handled(method=method.name, model="", version="", code=code.name, seconds=0)
            await context.abort(code, text)

    async def _outcome(
        self, method: Method, context: Any, receive: Callable[[], Awaitable[bytes]]
    ) -> Outcome:
        """Answer one request and have it counted, once, however it ends."""
        started = asyncio.get_running_loop().time()
        call = self._call(method, context, started)
        code, messages = grpc.StatusCode.UNKNOWN, list[Any]()
        accepted = not self._draining
        self._running += accepted
        self._arrived += 1
        if accepted:
            self._idle.clear()
        try:
            await self._refuse_unless(accepted)
            answer = await self._admitted(method, call, receive, messages.append)
            code = grpc.StatusCode.OK
            return Outcome(code, "", answer)
        except asyncio.CancelledError:
            # gRPC cancels the handler when the client does, and when its deadline passes.
            remaining = context.time_remaining()
            late = remaining is not None and remaining <= CLOCK_SLACK_SECS
            code = grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a code, and no more
            code, text = status_of(error)
            message = messages[0] if messages else None
            refusal = method.refuse(message, text).SerializeToString() if method.refuse else b""
            return Outcome(code, text, refusal, retry_hint(error))
        finally:
            self._running -= accepted
            if not self._running:
                self._idle.set()
            seconds = asyncio.get_running_loop().time() - started
            self._observer.handled(
                method=method.name, model=call.model, version=call.version, code=code.name, seconds=seconds
            )

    async def _admitted(
        self,
        method: Method,
        call: Call,
        receive: Callable[[], Awaitable[bytes]],
        note: Callable[[Any], None],
    ) -> bytes:
        """Answer a call that may be made and finds a place. What is refused before is never parsed.

        `note` is told the message once there is one.
        """
        self._gate.check(method, call.authorization)
        with self._gate.enter() as place:
            async with until(call.deadline):
                data = await receive()
                if data is grpc.aio.EOF:
                    # The client went away, or gRPC refused too large a message: then it cancels us at once.
                    await asyncio.sleep(CANCEL_SECS)
                    raise InvalidRequestError("the call brings no message")
                place.hold(len(data))
                message = self._parsed(method, data)
                note(message)
                response = await method.function(message, call)
            written: bytes = response.SerializeToString()
            return written

    async def _refuse_unless(self, accepted: bool) -> None:
        if not accepted:
            await self._refusing.wait()
            raise UnavailableError(SHUTTING_DOWN)

    def _parsed(self, method: Method, data: bytes) -> Any:
        try:
            return method.request.FromString(data)
        except DecodeError as error:
            raise InvalidRequestError(f"the bytes are not a {method.request.__name__}") from error

    def _call(self, method: Method, context: Any, now: float) -> Call:
        longest, remaining = method.longest_secs or self._options.max_call_secs, context.time_remaining()
        seconds = longest if remaining is None else min(remaining, longest)
        metadata = _metadata(context)
        # Apart from the rest, so that no method shows it to anyone.
        authorization = metadata.pop(AUTHORIZATION, "")
        return Call(deadline=now + seconds, metadata=metadata, authorization=authorization)


def _metadata(context: Any) -> dict[str, str]:
    return {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}


def _given(data: bytes) -> Callable[[], Awaitable[bytes]]:
    """Make a `receive` of what was received."""

    async def receive() -> bytes:
        return data

    return receive
