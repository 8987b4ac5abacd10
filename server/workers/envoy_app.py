"""The ASGI application that Envoy runs, through pyvoy: one worker.

Envoy's process begins with `lifespan`, which starts the worker on the loop that calls come on; when the
worker is there to be asked, Envoy listens. Nothing is kept in this module: calls find the worker in their
scope's state.
"""

import asyncio
import logging
import multiprocessing.spawn
import os
import signal
import sys
from collections.abc import MutableMapping
from typing import Any

from server.telemetry import logs
from server.wire.asgi_call import Receive, Send
from server.wire.gate import Gate
from server.wire.transport_asgi import AsgiTransport

from .envoy_admin import drain_listeners, wait_until_live
from .place import Place, read_place
from .shedding import keep_shedding
from .worker import work

log = logging.getLogger("unisono.workers")

# What Envoy needed to bring Python up, and a process started from here would stumble over.
ENVOYS_OWN = ("LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "PYTHONHOME")


async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer one call, or live as long as the process."""
    if scope["type"] == "lifespan":
        await _live(scope["state"], receive, send)
    else:
        await scope["state"]["handle"](scope, receive, send)


class _Host:
    """Envoy, as the transport sees it."""

    tells_who_left = False

    def __init__(self, state: MutableMapping[str, Any], place: Place) -> None:
        self._state = state
        self._admin = place.admin_socket
        self._port = place.settings.grpc_port
        self._shedding: asyncio.Task[None] | None = None
        self.serving = asyncio.Event()

    def transport(self, *served: Any, gate: Gate, **options: Any) -> AsgiTransport:
        """Bind methods, and have Envoy refuse by itself what comes beyond the gate's measure."""
        self._shedding = asyncio.create_task(keep_shedding(gate.admission, self._admin))
        return AsgiTransport(*served, host=self, gate=gate, **options)

    async def serve(self, transport: AsgiTransport) -> int:
        self._state["handle"] = transport.handle
        self.serving.set()
        return self._port

    async def farewell(self) -> None:
        if self._shedding is not None:
            self._shedding.cancel()
        await asyncio.to_thread(drain_listeners, self._admin)

    async def close(self) -> None:
        """Nothing: Envoy's process ends when its parent, or `_ended`, says so."""

    async def listening(self) -> None:
        await asyncio.to_thread(wait_until_live, self._admin)


async def _live(state: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    await receive()
    place = read_place()
    _be_python(place.python)
    logs.set_up(place.settings.log_level, place.settings.log_format)
    host = _Host(state, place)
    working = asyncio.create_task(work(place, host.transport, host.listening))
    serving = asyncio.create_task(host.serving.wait())
    await asyncio.wait({working, serving}, return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        serving.cancel()
        await send({"type": "lifespan.startup.failed", "message": str(working.exception())})
        return
    working.add_done_callback(_ended)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    # Envoy was told to end: by the parent, once the worker had drained, or by somebody who is in a hurry.
    working.cancel()
    await asyncio.wait({working})
    await send({"type": "lifespan.shutdown.complete"})


def _ended(working: "asyncio.Task[bool]") -> None:
    """End Envoy when the worker ends; the parent does it where there is one, once answers are out."""
    if working.cancelled():
        return
    error = working.exception()
    if error is not None:
        log.error("the worker ended: %s", error, exc_info=error)
    if error is not None or not working.result():
        os.kill(os.getpid(), signal.SIGTERM)


def _be_python(executable: str) -> None:
    """Have processes that this one starts run as if Python itself had started them."""
    for name in ENVOYS_OWN:
        os.environ.pop(name, None)
    sys.executable = executable
    multiprocessing.spawn.set_executable(executable)
