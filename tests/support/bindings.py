"""Real servers of some methods, on each transport, in the test's own process; Envoy runs beside it."""

import asyncio
import importlib.util
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from server.config import ServeSettings
from server.wire.gate import Gate
from server.wire.health import Health
from server.wire.http2.listener import http2_transport
from server.wire.method import Method
from server.wire.transport_asgi import Application, AsgiTransport
from server.wire.transport_grpcio import GrpcTransport
from server.wire.transport_options import TransportOptions
from server.workers import envoy
from server.workers.place import Place
from tests.support.bridge_app import LIMIT_BYTES, SOCKET_VARIABLE, packed, unpacked
from tests.support.tools import missing

START_SECS = 30.0


@dataclass(frozen=True)
class EnvoyProcess:
    """An Envoy that hands calls to whoever listens on `socket`."""

    port: int
    socket: Path
    admin: Path


def check_envoy() -> None:
    """Skip where there is no Envoy; fail where CI should have one."""
    if importlib.util.find_spec("pyvoy") is None:
        missing("there is no pyvoy here, the extra `envoy`: `make install` brings it, where there is one")


@contextmanager
def envoy_running(**options: Any) -> Iterator[EnvoyProcess]:
    """Run Envoy as `unisono serve` with these options does, but for the application."""
    check_envoy()
    with tempfile.TemporaryDirectory(prefix="envoy-") as folder, socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        # Bounds of Envoy's own lie above those of any test.
        settings = ServeSettings(grpc_port=port, transport="envoy", **options)
        place = Place("", settings, 0, link=-1, folder=folder, python="")
        bridge = Path(folder) / "bridge.sock"
        process = subprocess.Popen(
            envoy.command(place, app="tests.support.bridge_app:app"),
            env={**envoy.environment(), SOCKET_VARIABLE: str(bridge)},
        )
        try:
            _wait_for(port, process)
            yield EnvoyProcess(port, bridge, place.admin_socket)
        finally:
            process.terminate()
            process.wait(30)


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + START_SECS
    while process.poll() is None and time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    pytest.fail("Envoy did not start")


class BridgedHost:
    """Envoy, as a transport in this process sees it."""

    tells_who_left = False

    def __init__(self, process: EnvoyProcess) -> None:
        self._process = process
        self.server: asyncio.Server | None = None
        self.handle: Application | None = None

    async def serve(self, transport: AsgiTransport) -> int:
        self.handle = transport.handle
        return self._process.port

    async def farewell(self) -> None:
        """Nothing: Envoy goes on for the next test."""

    async def close(self) -> None:
        """Nothing, too."""

    async def open(self) -> None:
        """Take calls."""
        self._process.socket.unlink(missing_ok=True)
        self.server = await asyncio.start_unix_server(
            self._call, str(self._process.socket), limit=LIMIT_BYTES
        )

    async def _call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        scope = unpacked(await reader.readline())
        waiting: dict[int, asyncio.Future[Any]] = {}

        async def order(event: Any) -> Any:
            number = len(waiting)
            waiting[number] = asyncio.get_running_loop().create_future()
            writer.write(packed({"number": number, "event": event}))
            return await waiting[number]

        async def listen() -> None:
            while line := await reader.readline():
                told = unpacked(line)
                future = waiting[told["number"]]
                if future.done():
                    continue
                if "lost" in told:
                    future.set_exception(OSError(told["lost"]))
                else:
                    future.set_result(told["answer"])

        listening = asyncio.create_task(listen())
        try:
            assert self.handle is not None
            await self.handle(scope, lambda: order(None), order)
        finally:
            listening.cancel()
            writer.close()


@dataclass(frozen=True)
class Binding:
    """A way to serve methods: grpc.aio, our own HTTP/2, or ASGI under an Envoy that runs."""

    envoy: EnvoyProcess | None = None
    http2: bool = False

    @asynccontextmanager
    async def serve(
        self,
        methods: Sequence[Method],
        health: Health,
        *,
        observer: Any,
        options: TransportOptions | None = None,
        gate: Gate | None = None,
    ) -> AsyncIterator[tuple[Any, str]]:
        """Serve while the block runs: the transport, and its address."""
        options = replace(options or TransportOptions(), address="127.0.0.1:0")
        if self.envoy is None:
            bind = http2_transport if self.http2 else GrpcTransport
            grpc = bind(methods, health, observer=observer, options=options, gate=gate)
            port = await grpc.start()
            try:
                yield grpc, f"127.0.0.1:{port}"
            finally:
                await grpc.stop(0)
            return
        host = BridgedHost(self.envoy)
        asgi = AsgiTransport(methods, health, host=host, observer=observer, options=options, gate=gate)
        await asgi.start()
        await host.open()
        try:
            yield asgi, f"127.0.0.1:{self.envoy.port}"
        finally:
            await asgi.stop(0)
            if host.server is not None:
                host.server.close()
