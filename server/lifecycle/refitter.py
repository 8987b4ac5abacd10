"""Runs refits in a process of their own, one at a time, and tells what came of them.

A process: solver, data reader and members take a core for minutes and memory for good, and none of that
should be the serving process's.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from threading import Thread
from time import perf_counter
from typing import Any, Protocol

from ensemble.errors import UnavailableError
from ensemble.executors.process import ProcessExecutor
from ensemble.refit.job import NICENESS, RefitJob, RefitWork
from server.telemetry.refits import RefitFigures

log = logging.getLogger("unisono.lifecycle")

# What a refit found, as `unisono refit -o json` prints it.
Found = dict[str, Any]


class Observer(Protocol):
    """Who is told what came of a refit."""

    def finished(
        self,
        model: str,
        outcome: str,
        seconds: float,
        *,
        version: int | None = None,
        figures: RefitFigures | None = None,
    ) -> None:
        """A refit ended with `outcome`, and `version` if it published one."""
        ...


def run_in_process(job: RefitJob, niceness: int = NICENESS) -> Found:
    """Run a refit in a new process, that nice, and wait for it; its errors are raised here."""
    [found] = ProcessExecutor(processes=1).run(RefitWork(job, niceness), [0], lambda _item, _rows: None)
    return found


class Refitter:
    """Takes one refit at a time. Used on the event loop; `published` is awaited after each publish."""

    def __init__(
        self,
        observer: Observer,
        published: Callable[[], Awaitable[object]],
        run: Callable[[RefitJob], Found] = run_in_process,
    ) -> None:
        self._observer = observer
        self._published = published
        self._run = run
        self._running: asyncio.Task[Found] | None = None

    async def refit(self, job: RefitJob) -> Found:
        """Run `job` and return what it found, with its "seconds"; it goes on if the caller is cancelled.

        UnavailableError while another runs; and what a refit raises.
        """
        # One that is over may not have been taken off yet: that happens one turn of the loop later.
        if self._running is not None and not self._running.done():
            raise UnavailableError(
                f"{self._running.get_name()} is under way, and one is run at a time: ask later"
            )
        self._running = asyncio.create_task(self._finish(job), name=f"a refit of {job.name}")
        self._running.add_done_callback(self._ended)
        return await asyncio.shield(self._running)

    async def _finish(self, job: RefitJob) -> Found:
        began = perf_counter()
        try:
            found = await _in_thread(lambda: self._run(job))
        except Exception as error:
            self._observer.finished(job.name, "failed", perf_counter() - began)
            log.warning("refit of %s failed: %s", job.name, error)
            raise
        seconds = perf_counter() - began
        figures = RefitFigures.of(found)
        outcome, version = found["outcome"], found["version"]
        self._observer.finished(job.name, outcome, seconds, version=version, figures=figures)
        log.info(
            "refit of %s: %s in %.1f s: %s",
            job.name,
            outcome,
            seconds,
            "; ".join(found["verdict"]["reasons"]),
        )
        if version is not None:
            await self._published()
        return found | {"seconds": seconds}

    def _ended(self, task: asyncio.Task[Found]) -> None:
        if self._running is task:
            self._running = None
        # Taken note of, so that asyncio doesn't complain when the caller has gone: it was logged.
        if not task.cancelled():
            task.exception()


def _in_thread(function: Callable[[], Found]) -> "asyncio.Future[Found]":
    """Run `function` on a thread that a process which ends doesn't wait for, as it would for a pool's."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Found] = loop.create_future()

    def settle(found: Found | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        elif found is not None:
            future.set_result(found)

    def work() -> None:
        found, failed = None, None
        try:
            found = function()
        except Exception as error:  # noqa: BLE001 - it is raised where the future is awaited
            failed = error
        # The loop may be gone, and with it whoever wanted to know.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, found, failed)

    Thread(target=work, daemon=True, name="refit").start()
    return future
