"""Binds resources to an HTTP server: bodies, status codes, drain. The only module that knows uvicorn."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import grpc
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ensemble.errors import EnsembleError, UnavailableError
from server.engine.priority import behind_the_loop
from server.wire.call import Call
from server.wire.calls import SHUTTING_DOWN, Calls, Observer
from server.wire.gate import Gate
from server.wire.head import AUTHORIZATION
from server.wire.outcome import MessageTooLargeError, Outcome
from server.wire.status import status_of
from server.wire.transport_options import TransportOptions

from .bodies import Inflater, deflated, encoding_of
from .inference import json_bytes
from .resource import Asked, Door, Reply, Resource, Write, error_reply
from .status import UNKNOWN_ENCODING, status_and_headers

# Connections that could be closed and aren't, since nobody reads the answer, are cut off after so long.
CLOSE_SECS = 1
BACKLOG = 2048
# Takes some 3 ms to read, for which other calls may wait.
LARGE_JSON_BYTES = 2**18

Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


class HttpTransport:
    """An HTTP server of `resources`. Made and used on the event loop."""

    def __init__(
        self,
        resources: Sequence[Resource],
        *,
        observer: Observer,
        options: TransportOptions,
        max_json_bytes: int,
        gate: Gate | None = None,
    ) -> None:
        self._resources = resources
        self._options = options
        self._max_json_bytes = max_json_bytes
        self._gate = gate or Gate()
        self._answering: set[asyncio.Task[Outcome]] = set()
        # One after another: what is read takes many times its bytes.
        self._reader = ThreadPoolExecutor(1, "json", behind_the_loop)
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self.calls = Calls(observer, options, self._gate)

    async def start(self) -> int:
        """Listen, and return the port. Raises UnavailableError if the address can't be had."""
        listener = _listener(self._options)
        context = self._gate.listening_context()
        config = uvicorn.Config(
            self.application(),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=round(self._options.keepalive_secs),
            timeout_graceful_shutdown=CLOSE_SECS,
            h11_max_incomplete_event_size=self._options.max_metadata_bytes,
            ssl_context_factory=None if context is None else lambda *_: context,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve([listener]))
        return int(listener.getsockname()[1])

    def drain(self) -> None:
        """Refuse new calls; those that run go on."""
        self.calls.drain()

    async def stop(self, grace_secs: float) -> None:
        """Drain, give running calls `grace_secs` to end, then cut off the rest and stop listening."""
        self.drain()
        if self._server is None or self._serving is None:
            return
        await self.calls.quiet(grace_secs)
        self.calls.refuse()
        for task in self._answering:
            task.cancel()
        self._server.should_exit = True
        await self._serving
        self._reader.shutdown(wait=False, cancel_futures=True)

    def application(self) -> Starlette:
        """Return what an ASGI server runs."""
        routes = [
            Route(resource.path, self._endpoint(resource), methods=[resource.verb])
            for resource in self._resources
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: _no_resource})

    def _endpoint(self, resource: Resource) -> Endpoint:
        answer = self._called if resource.door is Door.CALL else self._asked

        async def handle(request: Request) -> Response:
            reply = await answer(resource, request)
            body, encoding = deflated(reply.body, request.headers.get("accept-encoding", ""))
            headers = {**reply.headers, **({"content-encoding": encoding} if encoding else {})}
            return Response(body, reply.status, headers, reply.media_type)

        return handle

    async def _called(self, resource: Resource, request: Request) -> Reply:
        """Answer a call: in time, or not at all if its client goes away."""
        encoding = encoding_of(request.headers.get("content-encoding", ""))
        if encoding is None:
            return error_reply("content-encoding must be gzip, deflate or none", UNKNOWN_ENCODING)
        codec = _Codec(resource, request, self._max_json_bytes, self._reader)
        incoming = _Incoming(request)

        async def receive() -> bytes:
            body = await _body(request, encoding, self._options.max_message_bytes)
            incoming.received.set()
            return body

        answering = asyncio.create_task(self.calls.answer(resource.method, incoming, receive, codec=codec))
        self._answering.add(answering)
        gone = asyncio.create_task(incoming.gone())
        try:
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
            outcome = await answering if answering.done() and not answering.cancelled() else _CUT_OFF
        finally:
            gone.cancel()
            answering.cancel()
            self._answering.discard(answering)
        return codec.reply if outcome.code is grpc.StatusCode.OK else _refusal(outcome)

    async def _asked(self, resource: Resource, request: Request) -> Reply:
        """Answer what is to be had when calls are not: it is neither admitted nor drained nor counted."""
        incoming = _Incoming(request)
        try:
            if resource.door is Door.SCRAPE:
                self._gate.check(resource.method, incoming.authorization)
            message, write = resource.read(Asked(request.path_params, incoming.metadata, b"", 0))
            deadline = asyncio.get_running_loop().time() + self._options.max_call_secs
            return write(await resource.method.function(message, Call(deadline)))
        except EnsembleError as error:
            return _refusal(Outcome(*status_of(error)))


class _Server(uvicorn.Server):
    """uvicorn, without its own idea of what signals mean."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Leave signals to the application."""
        return nullcontext()


class _Incoming:
    """A call over HTTP."""

    def __init__(self, request: Request) -> None:
        self._request = request
        headers = dict(request.headers)
        self.authorization = headers.pop(AUTHORIZATION, "")
        self.metadata: Mapping[str, str] = headers
        self.received = asyncio.Event()  # Set once the body has been read.

    def time_remaining(self) -> float | None:
        """Say that HTTP has no deadlines."""
        return None

    async def read(self) -> bytes | None:
        """Say that there are no streams over HTTP."""
        return None

    async def write(self, data: bytes) -> None:
        """Do nothing: there are no streams over HTTP."""

    async def gone(self) -> None:
        """Wait until the client goes away, once its body is here: it is all that is left to receive."""
        await self.received.wait()
        while (await self._request.receive())["type"] != "http.disconnect":
            pass


class _Codec:
    """Reads one request of a resource, and keeps the reply that it wrote."""

    def __init__(
        self, resource: Resource, request: Request, max_json_bytes: int, reader: ThreadPoolExecutor
    ) -> None:
        self._resource = resource
        self._reader = reader
        self._request = request
        self._max_json_bytes = max_json_bytes
        self._write: Write | None = None
        self.reply = Reply(b"")

    def read(self, data: bytes) -> Any:
        asked = Asked(self._request.path_params, dict(self._request.headers), data, self._max_json_bytes)
        if json_bytes(asked) >= LARGE_JSON_BYTES:
            return asyncio.get_running_loop().create_task(self._read_apart(asked))
        message, self._write = self._resource.read(asked)
        return message

    async def _read_apart(self, asked: Asked) -> Any:
        """Read it while other calls go on; the interpreter is held for as long as one of the steps takes."""
        loop = asyncio.get_running_loop()
        message, self._write = await loop.run_in_executor(self._reader, self._resource.read, asked)
        return message

    def write(self, response: Any) -> bytes:
        if self._write is not None:  # It always is: what was not read has no response.
            self.reply = self._write(response)
        return self.reply.body


_CUT_OFF = Outcome(grpc.StatusCode.UNAVAILABLE, SHUTTING_DOWN)


async def _body(request: Request, encoding: str, limit: int) -> bytes:
    """Read a body of at most so many bytes; one that says that it has more isn't read at all."""
    declared = request.headers.get("content-length", "0")
    if len(declared) > len(str(limit)) or int(declared) > limit:
        raise MessageTooLargeError("body", int(declared[:20]), limit)
    inflater = Inflater(encoding, limit)
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            # Nobody waits for an answer: as gRPC does it when its client has gone.
            raise asyncio.CancelledError
        inflater.feed(message.get("body", b""))
        if not message.get("more_body"):
            return inflater.finish()


def _refusal(outcome: Outcome) -> Reply:
    status, headers = status_and_headers(outcome)
    refusal = error_reply(outcome.text, status)
    return Reply(refusal.body, headers, status=status)


async def _no_resource(_request: Request, error: Exception) -> Response:
    """Answer what no resource is for."""
    if not isinstance(error, HTTPException):
        raise error
    reply = error_reply(error.detail.lower(), error.status_code)
    return Response(reply.body, error.status_code, error.headers, reply.media_type)


def _listener(options: TransportOptions) -> socket.socket:
    """Listen on HOST:PORT, beside other processes where the port is shared."""
    address = options.address
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        family, *_ = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        return socket.create_server(
            (host, int(port)), family=family, backlog=BACKLOG, reuse_port=options.shares_port
        )
    except OSError as error:
        raise UnavailableError(
            f"can't listen on {address}: {error.strerror}; choose another, or end the process that has it"
        ) from error
