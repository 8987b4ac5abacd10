"""In processes of this machine: each loads the models once, and a lost one is replaced.

Processes are spawned, never forked: a forked ONNX Runtime or Arrow may hang on a lock that nobody holds.
Each has a pipe of its own. When one dies, its pipe ends, and its item is given to another.
"""

import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread
from traceback import format_exception
from typing import Any

from model_store.errors import StoreError

from ..errors import EnsembleError, InvalidDataError, MemberError
from .executor import Report, Result, Work

# How often an item may take its worker down with it before the job is given up.
ATTEMPTS = 3
STARTING = -1
VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True)
class ProcessExecutor:
    """`processes` workers of `threads` threads each; 0 threads: the cores, shared out.

    Each has one of `gpus` to itself, as `CUDA_VISIBLE_DEVICES` names them; where workers are more, they share
    them evenly. Whoever replaces a worker gets its GPU.
    """

    processes: int
    threads: int = 0
    gpus: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a crew of nobody."""
        if self.processes < 1:
            raise InvalidDataError(f"workers must be >= 1; got {self.processes}")

    def run(self, work: Work, items: Iterable[int], report: Report) -> Iterator[Result]:
        """Give each item's result as it comes; MemberError if an item, or the start, kills every worker."""
        waiting = deque(items)
        threads = self.threads or max(1, (os.cpu_count() or 1) // self.processes)
        crew = _Crew(work, threads, waiting, report)
        try:
            for number in range(min(self.processes, len(waiting))):
                crew.start(self.gpus[number % len(self.gpus)] if self.gpus else None)
            while crew.workers:
                yield from crew.results()
        finally:
            crew.end()


@dataclass(slots=True, eq=False)
class _Worker:
    """One process, our end of its pipe, the GPU it was given, and the item it has."""

    process: BaseProcess
    pipe: "Connection[Any, Any]"
    gpu: str | None
    item: int = STARTING


@dataclass(slots=True)
class _Crew:
    """The workers, and the items that none of them has."""

    work: Work
    threads: int
    waiting: deque[int]
    report: Report
    workers: list[_Worker] = field(default_factory=list)
    deaths: Counter[int] = field(default_factory=Counter)  # by item

    def start(self, gpu: str | None) -> None:
        """Start a worker, which has that GPU if there is one to have."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(self.work, self.threads, theirs, gpu), daemon=True)
        process.start()
        # Only the worker holds its end now, so our end tells when it is gone.
        theirs.close()
        self.workers.append(_Worker(process, ours, gpu))

    def results(self) -> Iterator[Result]:
        """Wait until a worker says something; give the results there are."""
        by_pipe = {worker.pipe: worker for worker in self.workers}
        for pipe in wait(list(by_pipe)):
            worker = by_pipe[pipe]  # type: ignore[index]
            try:
                kind, content = worker.pipe.recv()
            except (EOFError, OSError):
                self._replace(worker)
                continue
            if kind == "rows":
                self.report(worker.item, content)
                continue
            if kind == "failed":
                raise content
            if kind == "done":
                yield content
            self._hand_out(worker)

    def end(self) -> None:
        """End all workers; what they have written whole stays."""
        for worker in self.workers:
            worker.process.kill()
        for worker in self.workers:
            worker.process.join()
            worker.pipe.close()
        self.workers.clear()

    def _hand_out(self, worker: _Worker) -> None:
        """Give an idle worker its next item, or send it home."""
        if self.waiting:
            worker.item = self.waiting.popleft()
            # If it is gone, reading from its pipe will tell.
            with suppress(OSError):
                worker.pipe.send(worker.item)
            return
        self.workers.remove(worker)
        worker.pipe.close()
        worker.process.join()

    def _replace(self, worker: _Worker) -> None:
        """Put another in the place of a dead worker, with its item at the head of the queue."""
        worker.process.join()
        worker.pipe.close()
        self.workers.remove(worker)
        self.deaths[worker.item] += 1
        if self.deaths[worker.item] >= ATTEMPTS:
            doing = "it started" if worker.item == STARTING else f"working on part {worker.item}"
            raise MemberError(
                f"a worker process died {ATTEMPTS} times while {doing} (exit code {worker.process.exitcode}):"
                " if memory is short, use fewer workers or a smaller batch size"
            )
        if worker.item != STARTING:
            self.waiting.appendleft(worker.item)
        self.start(worker.gpu)


def _serve(work: Work, threads: int, pipe: "Connection[Any, Any]", gpu: str | None) -> None:
    """Do items until there are no more: the whole life of a worker."""
    if gpu is not None:
        # The driver looks at this when it is first used: when the work is started, not when it is imported.
        os.environ[VISIBLE_GPUS] = gpu
    # Ctrl-C goes to all processes of the terminal; ending the workers is the job of who started them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_die_with_parent, daemon=True).start()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            task = work.start(threads)
            pipe.send(("ready", None))
            while True:
                pipe.send(("done", task(pipe.recv(), lambda _, rows: pipe.send(("rows", rows)))))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told where it can be
            pipe.send(("failed", _portable(error)))


def _portable(error: Exception) -> Exception:
    """Return an error that can go through a pipe: our own, or the text of any other."""
    if isinstance(error, EnsembleError | StoreError):
        return error
    return RuntimeError("".join(format_exception(error)))


def _die_with_parent() -> None:
    """End this process when the one that started it is gone, even if that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
