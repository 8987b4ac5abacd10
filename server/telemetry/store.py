"""How reading the store goes."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class StoreMetrics:
    """Counts what the watcher tells. Safe to call from any thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reachable = Gauge(
            "unisono_store_reachable",
            "1 if the last look at the store saw all of it, 0 if it could not.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._errors = Counter("unisono_store_errors", "Polls of the store that failed.", registry=registry)
        self._read_at = Gauge(
            "unisono_store_last_read_timestamp_seconds",
            "When the store was last read, all of it, in seconds since 1970.",
            registry=registry,
            multiprocess_mode="livemin",
        )

    def store_read(self) -> None:
        """All that is in the store was seen."""
        self._read_at.set_to_current_time()
        self._reachable.set(1)

    def store_failed(self) -> None:
        """The store could not be read."""
        self._errors.inc()
        self._reachable.set(0)
