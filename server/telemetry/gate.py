"""Metrics of what stands before the methods: certificates, tokens, admission."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from .hot import Hot


class GateMetrics:
    """Counts what the gate tells it. Safe to call from any thread."""

    def __init__(self, registry: CollectorRegistry, hot: Hot | None = None) -> None:
        self._hot = hot or Hot(registry)
        self._reloads = Counter(
            "unisono_reloads",
            "New contents of the certificates or tokens: taken, or failed.",
            ["what", "outcome"],
            registry=registry,
        )
        self._stale = Gauge(
            "unisono_reload_stale",
            "1 while what lies on disk can't be used and what was read before stays in use.",
            ["what"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._ends = Gauge(
            "unisono_certificate_end_timestamp_seconds",
            "When the certificate in use ends, or the first of its chain to, in seconds since 1970.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._calls = Gauge(
            "unisono_in_flight_calls",
            "Calls that were let in and aren't answered.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._bytes = Gauge(
            "unisono_in_flight_bytes",
            "Bytes of their requests.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._refused = Counter(
            "unisono_refused",
            "Calls refused for want of room: calls or bytes in flight, too long a wait, or shed by Envoy.",
            ["reason"],
            registry=registry,
        )

    def in_flight(self, calls: int, size: int) -> None:
        """So many calls are in the server now, with requests of `size` bytes in all."""
        self._hot.set(self._calls, calls)
        self._hot.set(self._bytes, size)

    def refused(self, reason: str, calls: int = 1) -> None:
        """So many were refused: too many "calls" or "bytes", too long a "wait"; or Envoy "shed" them."""
        self._hot.count(self._refused, (reason,), calls)

    def certificate_ends(self, at: float) -> None:
        """The certificate in use is valid until `at`, in seconds since 1970."""
        self._ends.set(at)

    def reloaded(self, what: str) -> None:
        """New content of `what` is in use."""
        self._reloads.labels(what, "taken").inc()

    def reload_failed(self, what: str) -> None:
        """What lies there now as `what` can't be used."""
        self._reloads.labels(what, "failed").inc()
        self._stale.labels(what).set(1)

    def reload_settled(self, what: str) -> None:
        """What is in use and what lies there are the same again."""
        self._stale.labels(what).set(0)
