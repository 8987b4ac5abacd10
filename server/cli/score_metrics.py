"""How far a scoring job is, for Prometheus' textfile collector."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from time import monotonic

from .metrics_file import MetricsFile
from .progress import SECONDS_BETWEEN_EVENTS, Advance, Run, Speed

TEXTS = {
    "rows": "Rows of the job.",
    "rows_done": "Rows done, in this run and those before, those that failed included.",
    "rows_failed": "Rows that could not be scored, in the parts that are done.",
    "seconds": "How long this run has gone on.",
    "rows_per_second": "Rows that this run did, those that failed included, by its seconds.",
    "eta_seconds": "How much longer it takes at that speed; NaN before there is one.",
    "finished": "1 once the job is finished, 0 before.",
}


@dataclass(slots=True)
class ScoreMetrics:
    """Keeps the gauges `unisono_score_...` in a file, at most once a second. `clock` gives seconds."""

    path: Path
    rows: int
    shown: Advance  # what is told the same
    clock: Callable[[], float] = monotonic
    _file: MetricsFile = field(init=False)
    _run: Run = field(init=False)
    _written: float = field(init=False)

    def __post_init__(self) -> None:
        """Say that nothing is done yet."""
        self._file = MetricsFile(self.path, "unisono_score", TEXTS)
        self._run = Run(self.rows, self.clock)
        self._write(0, 0, Speed(0.0, None))

    def advance(self, done: int, failed: int = 0) -> None:
        """Pass it on, and keep it if a second has gone by."""
        self.shown(done, failed)
        now = self.clock()
        speed = self._run.at(now, done)
        if now - self._written >= SECONDS_BETWEEN_EVENTS:
            self._write(done, failed, speed)

    def finish(self, failed: int) -> None:
        """Say that all is done."""
        self._write(self.rows, failed, self._run.at(self.clock(), self.rows), finished=True)

    def _write(self, done: int, failed: int, speed: Speed, *, finished: bool = False) -> None:
        self._written = self.clock()
        values = {
            "rows": self.rows,
            "rows_done": done,
            "rows_failed": failed,
            "seconds": self._written - self._run.began,
            "rows_per_second": speed.rows_per_sec,
            "eta_seconds": nan if speed.eta_secs is None else speed.eta_secs,
            "finished": finished,
        }
        self._file.write(values)
