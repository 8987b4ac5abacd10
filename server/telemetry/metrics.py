"""All metrics that the server keeps, a family a file; `docs/reference/metrics.md` explains each."""

from collections.abc import Collection, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge

from .gate import GateMetrics
from .hot import BulkHistogram, Hot
from .members import Agreement, MemberMetrics
from .refits import RefitFigures, RefitMetrics
from .shared_statistics import shared_statistics
from .statistics import BatchTimes, Statistics
from .store import StoreMetrics
from .versions import VersionMetrics

# Seconds, from a tabular model's tenth of a millisecond to a deadline's ten seconds.
SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """Counts what the parts tell it, for Prometheus and for `statistics`. Safe to call from any thread.

    `shared`: this is one of several processes whose values are added up. Of those, only the `first` counts
    the refits that published something: all of them see it.
    """

    def __init__(self, registry: CollectorRegistry, *, shared: bool = False, first: bool = True) -> None:
        self.registry = registry
        self.hot = Hot(registry)
        self.statistics = shared_statistics() if shared else Statistics()
        self.refits = RefitMetrics(registry, counts_published=first)
        self.members = MemberMetrics(registry)
        self.versions = VersionMetrics(registry, shared=shared)
        self.store = StoreMetrics(registry)
        self.gate = GateMetrics(registry, self.hot)
        self._requests = Counter(
            "unisono_requests",
            "Calls answered, by the code they were answered with.",
            ["model", "version", "method", "code"],
            registry=registry,
        )
        self._request_seconds = BulkHistogram(
            "unisono_request_seconds",
            "From the call's arrival to its answer.",
            ["model", "method"],
            buckets=SECONDS,
            registry=registry,
        )
        self._queue_seconds = BulkHistogram(
            "unisono_queue_seconds",
            "How long a request waited for its batch to start.",
            ["model"],
            buckets=SECONDS,
            registry=registry,
        )
        self._compute_seconds = BulkHistogram(
            "unisono_compute_seconds",
            "How long a batch took, all members and the pool.",
            ["model"],
            buckets=SECONDS,
            registry=registry,
        )
        self._member_compute_seconds = BulkHistogram(
            "unisono_member_compute_seconds",
            "How long a batch took in one member.",
            ["model", "member"],
            buckets=SECONDS,
            registry=registry,
        )
        self._batch_rows = BulkHistogram(
            "unisono_batch_rows", "Rows in a batch.", ["model"], buckets=ROWS, registry=registry
        )
        self._queue_rows = Gauge(
            "unisono_queue_rows", "Rows that wait now.", registry=registry, multiprocess_mode="livesum"
        )

    def handled(
        self, *, method: str, model: str, version: str, code: str, seconds: float, calls: int = 1
    ) -> None:
        """A call was answered, with `code`, after `seconds`; or so many calls of no model were."""
        self.hot.count(self._requests, (model, version, method, code), calls)
        self.hot.observe(self._request_seconds, (model, method), *[seconds] * calls)
        self.statistics.handled(method, model, version, code, seconds)

    def queued(self, rows: int) -> None:
        """`rows` rows wait now."""
        self.hot.set(self._queue_rows, rows)

    def batched(self, model: str, rows: int, waited: Sequence[float]) -> None:
        """A batch of `rows` rows of `model` starts; its requests have waited this long."""
        self.hot.observe(self._batch_rows, (model,), rows)
        self.hot.observe(self._queue_seconds, (model,), *waited)

    def scored(self, model: str, version: int, times: BatchTimes) -> None:
        """A batch came to an end, and not by an error."""
        self.statistics.scored(model, version, times)

    def computed(self, model: str, seconds: float, by_member: Mapping[str, float]) -> None:
        """A batch took `seconds` in all, and so long in each member."""
        self.hot.observe(self._compute_seconds, (model,), seconds)
        for member, member_seconds in by_member.items():
            self.hot.observe(self._member_compute_seconds, (model, member), member_seconds)

    def member_failed(self, model: str, member: str) -> None:
        """`member` could not score a batch."""
        self.members.failed(model, member)
        self.statistics.member_failed(model, member)

    def degraded(self, model: str, missing: Collection[str]) -> None:
        """A batch was answered without these members."""
        self.members.degraded(model, missing)

    def agreed(self, model: str, by_member: Mapping[str, Agreement]) -> None:
        """Count how far each member's scores for a batch were from the ensemble's."""
        self.members.agreed(model, by_member)

    def swapped(
        self,
        model: str,
        version: int,
        *,
        weights: Mapping[str, float],
        losses: Mapping[str, float],
        loss: float | None,
        refit: RefitFigures | None = None,
    ) -> None:
        """`version` answers now who names none, with these weights and, where known, losses in nats.

        `refit` is what the refit found that made the version, if one did.
        """
        self.versions.swapped(model, version, weights=weights, losses=losses, loss=loss)
        self.statistics.swapped(model, version)
        self.refits.served(model, version, refit)

    def serving(self, model: str, versions: Collection[int]) -> None:
        """Exactly these versions of `model` are served now."""
        self.versions.serving(model, versions)
        self.statistics.serving(model, versions)

    def dropped(self, model: str) -> None:
        """No version of `model` is served any more."""
        self.versions.dropped(model)

    def loaded(self, model: str, seconds: float) -> None:
        """A version was read, checked and warmed."""
        self.versions.loaded(model, seconds)

    def load_failed(self, model: str, reason: str) -> None:
        """A version could not be taken up, for a reason in one word; what was served still is."""
        self.versions.load_failed(model, reason)
