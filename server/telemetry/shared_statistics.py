"""Statistics of several processes as one: each writes its own to a file, and adds the others' for who asks.

Those of processes that have ended still count. What others tell is behind by a moment.
"""

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from .shared import FOLDER_VARIABLE
from .statistics import Duration, Figures, Stages, Statistics

WRITE_EVERY_SECS = 0.5


class SharedStatistics(Statistics):
    """Counts what the parts of this process tell it, and knows what those beside it counted."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._file = folder / f"statistics-{os.getpid()}.json"
        self._written = "{}"

    def of(self, model: str, version: int) -> Figures:
        """Give what all processes counted for one version; of one never asked, zeros."""
        whole = Figures()
        whole.include(super().of(model, version))
        for told in self._others():
            figures = told.get(model, {}).get(str(version))
            if figures is not None:
                whole.include(from_json(figures))
        return whole

    def write(self) -> None:
        """Tell the others, if there is anything new."""
        with self._lock:
            told: dict[str, dict[str, Any]] = {}
            for (model, version), figures in self._figures.items():
                told.setdefault(model, {})[version] = to_json(figures)
        text = json.dumps(told)
        if text != self._written:
            fresh = self._file.with_suffix(".new")
            fresh.write_text(text)
            fresh.rename(self._file)
            self._written = text

    async def write_on(self) -> None:
        """Write again and again, until cancelled, and then a last time."""
        try:
            while True:
                await asyncio.sleep(WRITE_EVERY_SECS)
                await asyncio.to_thread(self.write)
        finally:
            self.write()

    def _others(self) -> Iterator[dict[str, Any]]:
        for file in self._file.parent.glob("statistics-*.json"):
            if file != self._file:
                with suppress(OSError):
                    yield json.loads(file.read_text())


def shared_statistics() -> SharedStatistics:
    """Share them where this process shares its metrics."""
    return SharedStatistics(Path(os.environ[FOLDER_VARIABLE]))


def to_json(figures: Figures) -> dict[str, Any]:
    """Write figures, durations as count and nanoseconds."""
    return {
        "success": _pair(figures.success),
        "fail": _pair(figures.fail),
        "queue": _pair(figures.queue),
        "compute": _three(figures.compute),
        "by_batch_size": {size: _three(stages) for size, stages in figures.by_batch_size.items()},
        "rows": figures.rows,
        "batches": figures.batches,
        "last_ms": figures.last_ms,
    }


def from_json(told: dict[str, Any]) -> Figures:
    """Read what `to_json` wrote."""
    return Figures(
        success=Duration(*told["success"]),
        fail=Duration(*told["fail"]),
        queue=Duration(*told["queue"]),
        compute=_stages(told["compute"]),
        by_batch_size={int(size): _stages(stages) for size, stages in told["by_batch_size"].items()},
        rows=told["rows"],
        batches=told["batches"],
        last_ms=told["last_ms"],
    )


def _pair(duration: Duration) -> list[int]:
    return [duration.count, duration.ns]


def _three(stages: Stages) -> list[list[int]]:
    return [_pair(stages.input), _pair(stages.infer), _pair(stages.output)]


def _stages(told: list[list[int]]) -> Stages:
    return Stages(*(Duration(*pair) for pair in told))
