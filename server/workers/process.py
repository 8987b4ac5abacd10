"""One worker's process, as its parent sees it: started, heard, told, ended."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from . import envoy
from .link import Link
from .place import VARIABLE, Place

# How long a process may take to end that was told to.
END_SECS = 5.0


@dataclass(eq=False)
class WorkerProcess:
    """A process that was started. `serving` and `over` are set as it says so; `why` is why it failed."""

    place: Place
    process: Process
    link: Link
    serving: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)  # drained, or gone
    why: str = ""

    @property
    def pid(self) -> int:
        """Its process's number."""
        return self.process.pid

    async def listen(self, hear: Callable[["WorkerProcess", Mapping[str, Any]], None]) -> int:
        """Hear what it says until it is gone; return how it ended. `hear` is told what isn't about itself."""
        try:
            async for message in self.link.messages():
                self._hear(message, hear)
            return await self.process.wait()
        finally:
            self.over.set()

    def _hear(
        self, message: Mapping[str, Any], hear: Callable[["WorkerProcess", Mapping[str, Any]], None]
    ) -> None:
        now = message.get("now")
        if now == "serving":
            self.serving.set()
        elif now == "drained":
            self.over.set()
        elif now == "failed":
            self.why = message["why"]
        else:
            hear(self, message)

    async def end(self) -> None:
        """End it, by force if it doesn't heed; wait until it is gone."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(END_SECS):
                await self.process.wait()
        except TimeoutError:
            self.kill()
            await self.process.wait()

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self.process.kill()


async def start(place: Place, metrics_variable: tuple[str, str]) -> WorkerProcess:
    """Start a worker at `place`, whose line is made here; the variable says where its metrics go."""
    ours, theirs = socket.socketpair()
    with theirs:
        place = replace(place, link=theirs.fileno())
        under_envoy = place.settings.transport == "envoy"
        command = envoy.command(place) if under_envoy else [sys.executable, "-m", "server.workers.worker"]
        base = envoy.environment() if under_envoy else _python_environment()
        name, folder = metrics_variable
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**base, name: folder, VARIABLE: place.to_json()},
            pass_fds=[theirs.fileno()],
            # A signal from the terminal is for the parent, who passes it on in its own way.
            start_new_session=True,
        )
    return WorkerProcess(place, process, await Link.over(ours))


def _python_environment() -> Mapping[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
