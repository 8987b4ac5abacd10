"""Binds methods to grpc.aio: bytes, deadlines, status codes, drain. The only module that does."""

import asyncio
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import grpc

from ensemble.errors import UnavailableError

from .calls import LINGER_SECS, Calls, Observer
from .gate import Gate
from .head import AUTHORIZATION
from .health import Health
from .method import Method
from .transport_options import TransportOptions

__all__ = ["LINGER_SECS", "GrpcTransport", "TransportOptions"]

# So soon after a call has ended its handler hears of it.
CANCEL_SECS = 0.1


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
        self._options = options
        self._gate = gate or Gate()
        self._server: Any = None
        self.calls = Calls(observer, options, self._gate)

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
        self.calls.drain()

    async def stop(self, grace_secs: float) -> None:
        """Drain, give running calls `grace_secs` to end, then cut off the rest and stop listening."""
        self.drain()
        if self._server is None:
            return
        loop = asyncio.get_running_loop()
        end = loop.time() + grace_secs
        await self.calls.quiet(grace_secs)
        self._health.close()
        # What is left of the grace: answers may still be on their way out.
        stopping = asyncio.create_task(self._server.stop(max(end - loop.time(), 0)))
        # Now gRPC has told clients that the connection ends. Whoever is refused after that asks elsewhere.
        await asyncio.sleep(0)
        self.calls.refuse()
        await stopping

    def _handlers(self) -> Iterable[Any]:
        services: dict[str, dict[str, Any]] = {}
        for method in self._methods:
            services.setdefault(method.service, {})[method.name] = self._bind(method)
        return [grpc.method_handlers_generic_handler(name, handlers) for name, handlers in services.items()]

    def _bind(self, method: Method) -> Any:
        if method.refuse is not None:

            async def handle_stream(_requests: Any, context: Any) -> None:
                outcome = await self.calls.stream(method, _Incoming(context))
                if outcome.code is not grpc.StatusCode.OK:
                    await context.abort(outcome.code, outcome.text, outcome.trailing)

            return grpc.stream_stream_rpc_method_handler(handle_stream)

        async def handle(_requests: Any, context: Any) -> bytes:
            incoming = _Incoming(context)
            outcome = self.calls.turned_away(method, incoming.authorization)
            if outcome is None:
                outcome = await self.calls.answer(method, incoming, incoming.only)
            if outcome.code is not grpc.StatusCode.OK:
                await context.abort(outcome.code, outcome.text, outcome.trailing)
            return outcome.data

        # Bound as a stream of requests, of which one is read: so a call can be refused before it is.
        return grpc.stream_unary_rpc_method_handler(handle)


class _Incoming:
    """A call of grpc.aio."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self.time_remaining = context.time_remaining
        self.write = context.write

    @cached_property
    def metadata(self) -> dict[str, str]:
        """The text metadata, without the token."""
        return {key: value for key, value in self._texts.items() if key != AUTHORIZATION}

    @property
    def authorization(self) -> str:
        """The token's header."""
        return self._texts.get(AUTHORIZATION, "")

    @cached_property
    def _texts(self) -> dict[str, str]:
        return {key: value for key, value in self._context.invocation_metadata() if isinstance(value, str)}

    async def read(self) -> bytes | None:
        """Read the next message; None says that no more come."""
        data = await self._context.read()
        return None if data is grpc.aio.EOF else data

    async def only(self) -> bytes | None:
        """Read the message of a call that has one."""
        data = await self.read()
        if data is None:
            # The client went away, or gRPC refused too large a message: then it cancels us at once.
            await asyncio.sleep(CANCEL_SECS)
        return data
