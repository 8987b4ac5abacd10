"""Listens for gRPC's connections on the event loop, and looks after them: the host of `AsgiTransport`."""

import asyncio
import logging
import resource
import sys
from collections.abc import Sequence

from ensemble.errors import UnavailableError

from ..calls import Observer
from ..gate import Gate
from ..head import Head
from ..health import Health
from ..method import Method
from ..transport_asgi import AsgiTransport
from ..transport_options import TransportOptions
from .connection import Connection
from .crowd import Crowd
from .header_blocks import refusal_block
from .lifetime import ConnectionLimits
from .starts import Starts
from .stream import CallStream

# Connections are looked at so often, or more often where they have less time.
LOOK_SECS, LOOKS = 1.0, 4
# Of the descriptors a process may have, what connections leave to its files.
SPARE = 1 / 4
# As many as the kernel lets wait: with asyncio's hundred, some of more clients at once lose a second or more.
BACKLOG = 4096

log = logging.getLogger("unisono.wire")


def connection_limits(options: TransportOptions) -> ConnectionLimits:
    """Say what a connection may do, and how many there may be in this process."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        files = sys.maxsize
    return ConnectionLimits(
        options.max_concurrent_streams,
        options.max_metadata_bytes,
        options.max_connection_age_secs,
        options.max_connection_age_secs + options.max_call_secs,
        options.keepalive_secs,
        options.keepalive_timeout_secs,
        connections=min(options.max_connections, int(files * (1 - SPARE))),
    )


class Listener:
    """One port, and the connections that came by it."""

    tells_who_left = True

    def __init__(self, options: TransportOptions, gate: Gate) -> None:
        self._options, self._gate = options, gate
        self._limits = connection_limits(options)
        self._full = False
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._crowd = Crowd(gate.admission)

    async def serve(self, transport: AsgiTransport) -> int:
        """Listen, and return the port. Raises UnavailableError if the address can't be had."""
        taker = _Taker(transport)
        starts = Starts(taker)

        def connection() -> Connection:
            # It is among them only once TLS has let it in: of one that fails there nobody hears again.
            return Connection(taker, starts, self._limits, self._crowd, self._connections)

        host, _, port = self._options.address.rpartition(":")
        tls = self._gate.listening_context(http2=True)
        try:
            self._server = await asyncio.get_running_loop().create_server(
                connection,
                host.strip("[]"),
                int(port),
                backlog=BACKLOG,
                ssl=tls,
                ssl_handshake_timeout=None if tls is None else self._limits.greeting_secs,
                reuse_port=self._options.shares_port or None,
            )
        except OSError as error:
            raise UnavailableError(
                f"can't listen on {self._options.address}: in use, not allowed, or no address of this "
                "machine; choose another, or end the process that has it"
            ) from error
        self._look()
        self._crowd.watch(self._turn)
        return int(self._server.sockets[0].getsockname()[1])

    async def farewell(self) -> None:
        """Have clients told to go elsewhere; calls on their way are still taken."""
        for connection in self._connections:
            connection.leave()

    async def close(self) -> None:
        """Listen no more, and hang up."""
        if self._server is not None:
            self._server.close()
        if self._looking is not None:
            self._looking.cancel()
        self._crowd.close()
        for connection in list(self._connections):
            connection.close()

    def _look(self) -> None:
        loop, limits = asyncio.get_running_loop(), self._limits
        now, least = loop.time(), min(limits.age_secs, limits.silence_secs, limits.answer_secs)
        for connection in list(self._connections):
            connection.look(now)
        self._warn()
        self._looking = loop.call_later(min(LOOK_SECS, least / LOOKS), self._look)

    def _warn(self) -> None:
        full, most = len(self._connections) >= self._limits.connections, self._limits.connections
        if full and not self._full:
            log.warning("there are %d connections, and more are closed: see docs/security.md", most)
        self._full = full

    def _turn(self) -> None:
        for connection in self._connections:
            connection.turn()


class _Taker:
    """The transport, as connections see it."""

    def __init__(self, transport: AsgiTransport) -> None:
        self._transport = transport
        self.wants_all, self.shorten = transport.wants_all, transport.shorten

    def refuse(self, head: Head) -> bytes | None:
        outcome = self._transport.turned_away(head)
        return None if outcome is None else refusal_block(outcome)

    async def take(self, head: Head, stream: CallStream) -> None:
        await self._transport.take(head, stream.receive, stream.send)


def http2_transport(
    methods: Sequence[Method],
    health: Health,
    *,
    observer: Observer,
    options: TransportOptions,
    gate: Gate | None = None,
) -> AsgiTransport:
    """Bind methods to gRPC on our own HTTP/2."""
    gate = gate or Gate()
    host = Listener(options, gate)
    return AsgiTransport(methods, health, host=host, observer=observer, options=options, gate=gate)
