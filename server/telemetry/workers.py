"""Metrics of the parent of several server processes."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class WorkerMetrics:
    """Counts what the supervisor tells it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._serving = Gauge("unisono_workers", "Worker processes that serve now.", registry=registry)
        self._restarts = Counter(
            "unisono_worker_restarts", "Worker processes that ended and were replaced.", registry=registry
        )

    def serving(self, workers: int) -> None:
        """So many workers serve now."""
        self._serving.set(workers)

    def restarted(self) -> None:
        """A worker ended that shouldn't have; another one is started."""
        self._restarts.inc()
