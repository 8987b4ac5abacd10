"""Binds resources to uvicorn: bodies, deadlines, status codes, drain. The only module that knows it."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import grpc
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ensemble.errors import EnsembleError, UnavailableError
from server.wire.call import Call, until
from server.wire.gate import Gate
from server.wire.status import status_of
from server.wire.transport_grpcio import SHUTTING_DOWN, Observer

from .bodies import Inflater, TooLargeError, deflated
from .resource import Asked, Door, Reply, Resource, error_reply
from .status import error_headers, http_status

AUTHORIZATION = "authorization"
BACKLOG = 2048

log = logging.getLogger("unisono.wire")


class GoneError(EnsembleError):
    """The client went away before it had its answer."""


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """Where to listen, and the bounds of a request and a connection."""

    address: tuple[str, int] = ("127.0.0.1", 8000)  # port 0 takes a free one
    max_message_bytes: int = 64 * 2**20  # inflated
    max_json_bytes: int = 8 * 2**20  # of these
    max_call_secs: float = 10.0
    max_header_bytes: int = 16 * 2**10
    keepalive_secs: float = 60.0  # after so long without a request a connection is closed


class HttpTransport:
    """An HTTP server of `resources`. Made and used on the event loop."""

    def __init__(
        self, resources: Sequence[Resource], gate: Gate, *, observer: Observer, options: HttpOptions
    ) -> None:
        self._resources = resources
        self._gate = gate
        self._observer = observer
        self._options = options
        self._draining = False
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Listen, and return the port. Raises UnavailableError if the address can't be had."""
        listener = _listen(self._options.address)
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
            timeout_graceful_shutdown=0,
            h11_max_incomplete_event_size=self._options.max_header_bytes,
            ssl_context_factory=None if context is None else _always(context),
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve([listener]))
        return int(listener.getsockname()[1])

    def drain(self) -> None:
        """Refuse new calls; those that run go on."""
        self._draining = True

    async def stop(self, grace_secs: float) -> None:
        """Drain, give running calls `grace_secs` to end, then cut off the rest and stop listening."""
        self.drain()
        if self._server is None or self._serving is None:
            return
        try:
            async with asyncio.timeout(grace_secs):
                await self._idle.wait()
        except TimeoutError:
            log.warning("%d HTTP calls still run after %s s of grace; cutting off", self._running, grace_secs)
        self._server.should_exit = True
        await self._serving

    def application(self) -> ASGIApp:
        """Return what an ASGI server runs."""
        return Starlette(
            routes=[
                Route(resource.path, self._endpoint(resource), methods=[resource.verb])
                for resource in self._resources
            ],
            exception_handlers={HTTPException: _no_resource},
        )

    def _endpoint(self, resource: Resource) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def handle(request: Request) -> Response:
            reply = await self._outcome(resource, request)
            body, encoding = deflated(reply.body, request.headers.get("accept-encoding", ""))
            headers = {**reply.headers, **({"content-encoding": encoding} if encoding else {})}
            return Response(body, reply.status, headers, reply.media_type)

        return handle

    async def _outcome(self, resource: Resource, request: Request) -> Reply:
        """Answer one request and have it counted, once, however it ends."""
        started = asyncio.get_running_loop().time()
        call = self._call(resource, request, started)
        code = grpc.StatusCode.CANCELLED
        try:
            with self._accepted(resource):
                reply = await self._admitted(resource, call, request)
            code = grpc.StatusCode.OK
        except GoneError as error:
            # Nobody reads it.
            return error_reply(str(error), 400)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a code, and no more
            code, text = status_of(error)
            refusal = error_reply(text, http_status(error, code))
            return Reply(refusal.body, error_headers(error, code), status=refusal.status)
        else:
            return reply
        finally:
            seconds = asyncio.get_running_loop().time() - started
            self._observer.handled(
                method=resource.method.name,
                model=call.model,
                version=call.version,
                code=code.name,
                seconds=seconds,
            )

    async def _admitted(self, resource: Resource, call: Call, request: Request) -> Reply:
        """Answer a call that may be made and finds a place. What is refused before is never read."""
        if resource.door is not Door.PROBE:
            self._gate.check(resource.method, call.authorization)
        with self._gate.enter() if resource.door is Door.CALL else nullcontext() as place:
            async with until(call.deadline):
                body = await self._body(request)
                if place is not None:
                    place.hold(len(body))
                headers = dict(request.headers)
                message, write = resource.read(
                    Asked(request.path_params, headers, body, self._options.max_json_bytes)
                )
                return write(await _unless_gone(request, resource.method.function(message, call)))

    async def _body(self, request: Request) -> bytes:
        """Read a body of at most so many bytes; one that says that it has more isn't read at all."""
        limit = self._options.max_message_bytes
        declared = request.headers.get("content-length", "0")
        if len(declared) > len(str(limit)) or int(declared) > limit:
            raise TooLargeError(f"the body has {declared} bytes, {limit} may be")
        inflater = Inflater(request.headers.get("content-encoding", ""), limit)
        while True:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise GoneError("the client went away")
            inflater.feed(message.get("body", b""))
            if not message.get("more_body"):
                return inflater.finish()

    def _accepted(self, resource: Resource) -> AbstractContextManager[None]:
        """Count a call in and out; refuse it in a drain."""
        ...

    def _call(self, resource: Resource, request: Request, now: float) -> Call:
        metadata = dict(request.headers)
        # Apart from the rest, so that no method shows it to anyone.
        authorization = metadata.pop(AUTHORIZATION, "")
        longest = resource.method.longest_secs or self._options.max_call_secs
        return Call(deadline=now + longest, metadata=metadata, authorization=authorization)
