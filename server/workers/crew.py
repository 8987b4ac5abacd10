"""The workers of one server: each kept up, drained at the end, and heard by the others."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from time import monotonic, perf_counter
from typing import Any

from ensemble.errors import UnavailableError
from server.lifecycle.companions import LOAD, UNLOAD
from server.telemetry.shared import FOLDER_VARIABLE, SharedMetrics
from server.telemetry.workers import WorkerMetrics

from .place import Place
from .process import WorkerProcess, start
from .restarts import next_pause

log = logging.getLogger("unisono.workers")

# A worker lingers for callers that never pause, and says goodbye; then it is late.
LATE_SECS = 10.0


class Crew:
    """The workers of one server. Used on the event loop."""

    def __init__(self, place: Place, shared: SharedMetrics, metrics: WorkerMetrics) -> None:
        self._place = place
        self._settings = place.settings
        self._shared = shared
        self._metrics = metrics
        self._workers: dict[int, WorkerProcess] = {}
        self._held: set[str] = set()
        self._asked: dict[int, tuple[WorkerProcess, asyncio.Event]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Drain and end; asked twice, end at once."""
        if self._stop.is_set():
            for worker in self._workers.values():
                worker.kill()
        self._stop.set()

    async def run(self, began: float, addresses: str) -> None:
        """Keep the workers up until `stop`. UnavailableError if one can't even begin.

        `addresses` is said once all of them serve.
        """
        indices = range(self._settings.workers)
        try:
            async with asyncio.TaskGroup() as group:
                started = [asyncio.Event() for _ in indices]
                keepers = [group.create_task(self._keep(index, started[index])) for index in indices]
                for event in started:
                    await event.wait()
                if not self._stop.is_set():
                    log.info("ready in %.2f s: %s", perf_counter() - began, addresses)
                await self._stop.wait()
                log.info("draining: calls in flight have %.0f s", self._settings.drain_timeout_secs)
                await asyncio.gather(*map(self._drained, list(self._workers.values())))
                for keeper in keepers:
                    keeper.cancel()
        except ExceptionGroup as errors:
            # The first one ended the rest; whoever waits for the server wants it, not its wrapping.
            raise errors.exceptions[0] from None
        finally:
            for worker in self._workers.values():
                worker.kill()

    async def _keep(self, index: int, started: asyncio.Event) -> None:
        """Have a worker at `index` as long as the server lives."""
        pause = 0.0
        while not self._stop.is_set():
            born = monotonic()
            place = replace(self._place, index=index, held=tuple(sorted(self._held)))
            worker = await start(place, (FOLDER_VARIABLE, str(self._shared.folder)))
            self._workers[index] = worker
            serving = asyncio.create_task(self._take_note(worker, started))
            code = await worker.listen(self._hear)
            serving.cancel()
            self._gone(index, worker)
            if self._stop.is_set():
                started.set()
                return
            if not started.is_set():
                raise UnavailableError(worker.why or f"a worker ended with code {code} before it served")
            pause = next_pause(monotonic() - born, pause)
            self._metrics.restarted()
            log.error(
                "worker %d, process %d, ended with code %d; another starts in %.1f s",
                *(index, worker.pid, code, pause),
            )
            await asyncio.sleep(pause)

    async def _take_note(self, worker: WorkerProcess, started: asyncio.Event) -> None:
        await worker.serving.wait()
        started.set()
        self._metrics.serving(self._serving())

    def _gone(self, index: int, worker: WorkerProcess) -> None:
        del self._workers[index]
        self._shared.ended(worker.pid)
        self._metrics.serving(self._serving())
        for asked, done in self._asked.values():
            if asked is worker:
                done.set()

    def _serving(self) -> int:
        return sum(worker.serving.is_set() and not worker.over.is_set() for worker in self._workers.values())

    async def _drained(self, worker: WorkerProcess) -> None:
        worker.link.send(drain=True)
        late = self._settings.drain_delay_secs + self._settings.drain_timeout_secs + LATE_SECS
        try:
            async with asyncio.timeout(late):
                await worker.over.wait()
        except TimeoutError:
            log.warning("worker %d is not done %.0f s after it was told to drain", worker.place.index, late)
        await worker.end()

    def _hear(self, worker: WorkerProcess, message: Mapping[str, Any]) -> None:
        if "tell" in message:
            task = asyncio.create_task(self._pass_on(worker, **message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            _, done = self._asked.get(message["did"], (None, asyncio.Event()))
            done.set()

    async def _pass_on(self, teller: WorkerProcess, tell: int, what: str, name: str) -> None:
        """Have every other worker do what one tells, and tell that one when they have."""
        if what == UNLOAD:
            self._held.add(name)
        elif what == LOAD:
            self._held.discard(name)
        asked = []
        for worker in self._workers.values():
            if worker is not teller and not worker.over.is_set():
                number, done = max(self._asked, default=0) + 1, asyncio.Event()
                self._asked[number] = (worker, done)
                asked.append(number)
                worker.link.send(do=number, what=what, name=name)
        for number in asked:
            await self._asked[number][1].wait()
            del self._asked[number]
        teller.link.send(told=tell)
