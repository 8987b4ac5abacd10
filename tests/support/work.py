"""Work for executors that a worker process can import: squares, and ways to go wrong."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from ensemble.errors import InvalidDataError
from ensemble.executors.executor import Report, Result, Task


@dataclass(frozen=True)
class Squares:
    """Squares items. `deaths` is a folder: item n kills its worker once for each file `n-*` in it."""

    deaths: Path
    broken: int | None = None  # an item that raises
    foreign: bool = False  # ... an error that isn't ours
    unstartable: bool = False

    def start(self, threads: int) -> Task:
        if self.unstartable:
            raise InvalidDataError("the store is not there")

        def task(item: int, report: Report) -> Result:
            for file in sorted(self.deaths.glob(f"{item}-*")):
                file.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            if item == self.broken:
                raise (
                    ZeroDivisionError("by zero") if self.foreign else InvalidDataError(f"item {item} is bad")
                )
            report(item, 1)
            report(item, 2)
            return {
                "item": item,
                "square": item * item,
                "threads": threads,
                "process": os.getpid(),
                "gpu": os.environ.get("CUDA_VISIBLE_DEVICES"),
            }

        return task

    def kill_at(self, item: int, times: int) -> None:
        for time in range(times):
            (self.deaths / f"{item}-{time}").touch()
