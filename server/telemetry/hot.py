"""Figures that every call changes, kept in plain Python until somebody wants them.

prometheus-client takes a lock for each count and, where several processes share the metrics, asks the kernel
for the process's number and writes to a file: a quarter of what a small call cost. Here a count is a number
in a dictionary; what waits there is poured into prometheus-client's own metrics before each scrape and, for
several processes, on a timer.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from threading import Lock
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric

# Where several processes share the metrics, a scrape is behind by so much at most. So much is lost of one
# that is killed.
POUR_EVERY_SECS = 0.5

Labels = tuple[str, ...]


class BulkHistogram(Histogram):
    """A histogram that takes many observations at once."""

    @property
    def bounds(self) -> Sequence[float]:
        """The upper bound of each bucket, the last one infinite."""
        return self._upper_bounds

    def add(self, buckets: Sequence[int], total: float) -> None:
        """Add so many observations to each bucket, of this sum."""
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, buckets, strict=True):
            if count:
                bucket.inc(count)


class Tally:
    """Observations that wait for their histogram: how many in each bucket, and their sum."""

    __slots__ = ("bounds", "buckets", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.buckets = [0] * len(bounds)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.total += value


class Hot:
    """Counts, observations and values that wait. Safe to call from any thread.

    Make it before the metrics that it pours into: a registry asks in the order of registration.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lock = Lock()
        self._pouring = Lock()
        self._counts: dict[tuple[Counter, Labels], int] = {}
        self._tallies: dict[tuple[BulkHistogram, Labels], Tally] = {}
        self._values: dict[Gauge, float] = {}
        collector: Any = self
        registry.register(collector)

    def count(self, counter: Counter, labels: Labels, amount: int = 1) -> None:
        """Count one, or so many."""
        key = counter, labels
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + amount

    def observe(self, histogram: BulkHistogram, labels: Labels, *values: float) -> None:
        """Count observations."""
        key = histogram, labels
        with self._lock:
            tally = self._tallies.get(key)
            if tally is None:
                tally = self._tallies[key] = Tally(histogram.bounds)
            for value in values:
                tally.observe(value)

    def set(self, gauge: Gauge, value: float) -> None:
        """Show `value` from now on."""
        self._values[gauge] = value

    def collect(self) -> Iterable[Metric]:
        """Pour before a scrape; there is nothing here to show."""
        self.pour()
        return ()

    def pour(self) -> None:
        """Tell prometheus-client all that waits."""
        # One at a time: who comes second must find everything poured when it returns.
        with self._pouring:
            with self._lock:
                counts, self._counts = self._counts, {}
                tallies, self._tallies = self._tallies, {}
                values, self._values = self._values, {}
            for (counter, labels), amount in counts.items():
                counter.labels(*labels).inc(amount)
            for (histogram, labels), tally in tallies.items():
                histogram.labels(*labels).add(tally.buckets, tally.total)
            for gauge, value in values.items():
                gauge.set(value)

    async def pour_on(self) -> None:
        """Pour again and again, until cancelled, and then a last time."""
        try:
            while True:
                await asyncio.sleep(POUR_EVERY_SECS)
                self.pour()
        finally:
            self.pour()
