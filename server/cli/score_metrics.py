"""How far a scoring job is, for Prometheus' textfile collector."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from .metrics_file import MetricsFile
from .progress import SECONDS_BETWEEN_EVENTS, Advance

TEXTS = {
    "rows": "Rows of the job.",
    "rows_done": "Rows done, in this run and those before, those that failed included.",
    "rows_failed": "Rows that could not be scored, in the parts that are done.",
    "seconds": "How long this run has gone on.",
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
    _began: float = field(init=False)
    _written: float = field(init=False)

    def __post_init__(self) -> None:
        """Say that nothing is done yet."""
        self._file = MetricsFile(self.path, "unisono_score", TEXTS)
        self._began = self.clock()
        self._write(0, 0, finished=False)

    def advance(self, done: int, failed: int = 0) -> None:
        """Pass it on, and keep it if a second has gone by."""
        self.shown(done, failed)
        if self.clock() - self._written >= SECONDS_BETWEEN_EVENTS:
            self._write(done, failed, finished=False)

    def finish(self, failed: int) -> None:
        """Say that all is done."""
        self._write(self.rows, failed, finished=True)

    def _write(self, done: int, failed: int, *, finished: bool) -> None:
        self._written = self.clock()
        seconds = self._written - self._began
        values = {"rows": self.rows, "rows_done": done, "rows_failed": failed, "seconds": seconds}
        self._file.write(values | {"finished": finished})
