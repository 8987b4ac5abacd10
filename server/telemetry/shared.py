"""Metrics of several processes as one: prometheus-client's multiprocess mode, and what it leaves to us.

Each process writes its values to files of one folder, which the environment names before prometheus-client is
imported; their parent adds them up. Counters and histograms of processes that have ended still count.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from math import isnan, nan
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

# Names the folder.
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def forget(gauge: Gauge, labels: dict[str, str], *, shared: bool) -> None:
    """Show no value of `gauge` any more whose labels include `labels`."""
    if not shared:
        gauge.remove_by_labels(labels)
        return
    # The files have no way to remove a value. One that is no number is left out by `SharedMetrics`.
    for metric in gauge.collect():
        for sample in metric.samples:
            if labels.items() <= sample.labels.items():
                gauge.labels(**sample.labels).set(nan)


class SharedMetrics:
    """Reads what all processes wrote to `folder`, for a registry."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def collect(self) -> Iterable[Metric]:
        """Give every metric, without gauges that were forgotten."""
        read: Any = MultiProcessCollector.merge
        metrics: list[Metric] = list(read(self._files()))
        for metric in metrics:
            if metric.type == "gauge":
                metric.samples = [sample for sample in metric.samples if not isnan(sample.value)]
        return [metric for metric in metrics if metric.samples]

    def ended(self, pid: int) -> None:
        """Take out what holds only while process `pid` lives."""
        mark_process_dead(pid, path=str(self.folder))  # type: ignore[no-untyped-call]

    def _files(self) -> list[str]:
        """List what the processes wrote; a file that is new has nothing in it for a moment."""
        found = []
        for file in sorted(self.folder.glob("*.db")):
            with suppress(FileNotFoundError):
                if file.stat().st_size:
                    found.append(str(file))
        return found


def registry_of(folder: Path) -> tuple[CollectorRegistry, SharedMetrics]:
    """Make a registry that shows what the processes wrote to `folder`, for more to be registered in."""
    registry, shared = CollectorRegistry(), SharedMetrics(folder)
    collector: Any = shared
    registry.register(collector)
    return registry, shared


def registry_of_all() -> CollectorRegistry:
    """Make the registry of what this process and those beside it wrote, for one that shares its metrics."""
    registry, _ = registry_of(Path(os.environ[FOLDER_VARIABLE]))
    return registry
