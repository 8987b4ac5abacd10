"""Every metric that the server keeps, by name, in one class; `docs/reference/metrics.md` explains each."""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary

from .gate import GateMetrics
from .refits import RefitFigures, RefitMetrics
from .shared import forget
from .statistics import BatchTimes, Statistics

# Seconds, from a tabular model's tenth of a millisecond to a deadline's ten seconds.
SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
# Of several processes: what a living one said last.
NEWEST: Literal["livemostrecent"] = "livemostrecent"
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Agreement(Protocol):
    """One member against the ensemble, over the rows of one batch."""

    @property
    def rows(self) -> int:
        """How many rows were compared."""
        ...

    @property
    def same_top_class(self) -> int:
        """For how many both put the same class first."""
        ...

    @property
    def divergence_sum(self) -> float:
        """Jensen-Shannon divergence, in nats, summed over the rows."""
        ...


class Metrics:
    """Counts what the parts tell it, for Prometheus and for `statistics`. Safe to call from any thread.

    `shared`: this is one of several processes whose values are added up. Of those, only the `first` counts
    the refits that published something: all of them see it.
    """

    def __init__(self, registry: CollectorRegistry, *, shared: bool = False, first: bool = True) -> None:
        self.registry = registry
        self.statistics = Statistics()
        self.refits = RefitMetrics(registry, counts_published=first)
        self._shared = shared
        # Of `handled`: finding a series by its labels takes longer than counting.
        self._series: dict[tuple[str, str, str, str], tuple[Counter, Histogram]] = {}
        self.gate = GateMetrics(registry)
        self._requests = Counter(
            "unisono_requests",
            "Calls answered, by the code they were answered with.",
            ["model", "version", "method", "code"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "unisono_request_seconds",
            "From the call's arrival to its answer.",
            ["model", "method"],
            buckets=SECONDS,
            registry=registry,
        )
        self._queue_seconds = Histogram(
            "unisono_queue_seconds",
            "How long a request waited for its batch to start.",
            ["model"],
            buckets=SECONDS,
            registry=registry,
        )
        self._compute_seconds = Histogram(
            "unisono_compute_seconds",
            "How long a batch took, all members and the pool.",
            ["model"],
            buckets=SECONDS,
            registry=registry,
        )
        self._member_compute_seconds = Histogram(
            "unisono_member_compute_seconds",
            "How long a batch took in one member.",
            ["model", "member"],
            buckets=SECONDS,
            registry=registry,
        )
        self._batch_rows = Histogram(
            "unisono_batch_rows", "Rows in a batch.", ["model"], buckets=ROWS, registry=registry
        )
        self._queue_rows = Gauge(
            "unisono_queue_rows", "Rows that wait now.", registry=registry, multiprocess_mode="livesum"
        )
        named = ["model", "member"]
        self._member_failures, self._degraded = (
            Counter(f"unisono_{name}", told, named, registry=registry)
            for name, told in (
                ("member_failures", "Batches that a member could not score."),
                ("degraded_batches", "Batches that were answered without a member."),
            )
        )
        self._member_rows = Counter(
            "unisono_member_compared_rows",
            "Rows for which a member was compared with the ensemble.",
            ["model", "member"],
            registry=registry,
        )
        self._member_same_top = Counter(
            "unisono_member_same_top_class",
            "Compared rows for which the member and the ensemble put the same class first.",
            ["model", "member"],
            registry=registry,
        )
        self._member_divergence = Counter(
            "unisono_member_divergence_nats",
            "Jensen-Shannon divergence between member and ensemble, summed over the compared rows.",
            ["model", "member"],
            registry=registry,
        )
        self._member_weight = Gauge(
            "unisono_member_weight",
            "How much the member counts in the served version.",
            ["model", "member"],
            registry=registry,
            multiprocess_mode=NEWEST,
        )
        self._member_validation_loss = Gauge(
            "unisono_member_validation_loss_nats",
            "The member's log-loss on the validation file that the served weights were learned on.",
            ["model", "member"],
            registry=registry,
            multiprocess_mode=NEWEST,
        )
        self._validation_loss = Gauge(
            "unisono_validation_loss_nats",
            "The served version's log-loss on the validation file that its weights were learned on.",
            ["model"],
            registry=registry,
            multiprocess_mode=NEWEST,
        )
        self._active_version = Gauge(
            "unisono_active_version",
            "The version that answers who names none.",
            ["model"],
            registry=registry,
            multiprocess_mode=NEWEST,
        )
        self._served_version = Gauge(
            "unisono_served_version",
            "1 for each version that is served.",
            ["model", "version"],
            registry=registry,
            multiprocess_mode=NEWEST,
        )
        self._loads = Counter(
            "unisono_version_loads",
            "Versions taken up or not: loaded, or failed.",
            ["model", "outcome"],
            registry=registry,
        )
        self._load_seconds = Summary(
            "unisono_version_load_seconds",
            "Reading, checking and warming a version.",
            ["model"],
            registry=registry,
        )
        self._load_failures = Counter(
            "unisono_version_load_failures",
            "Versions that could not be taken up, by the reason.",
            ["model", "reason"],
            registry=registry,
        )
        self._store_reachable = Gauge(
            "unisono_store_reachable",
            "1 if the last look at the store saw all of it, 0 if it could not.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._store_errors = Counter(
            "unisono_store_errors", "Polls of the store that failed.", registry=registry
        )
        self._store_read_at = Gauge(
            "unisono_store_last_read_timestamp_seconds",
            "When the store was last read, all of it, in seconds since 1970.",
            registry=registry,
            multiprocess_mode="livemin",
        )

    def handled(self, *, method: str, model: str, version: str, code: str, seconds: float) -> None:
        """A call was answered, with `code`, after `seconds`."""
        key = (model, version, method, code)
        series = self._series.get(key)
        if series is None:
            series = self._requests.labels(*key), self._request_seconds.labels(model, method)
            self._series[key] = series
        requests, request_seconds = series
        requests.inc()
        request_seconds.observe(seconds)
        self.statistics.handled(method, model, version, code, seconds)

    def queued(self, rows: int) -> None:
        """`rows` rows wait now."""
        self._queue_rows.set(rows)

    def batched(self, model: str, rows: int, waited: Sequence[float]) -> None:
        """A batch of `rows` rows of `model` starts; its requests have waited this long."""
        self._batch_rows.labels(model).observe(rows)
        queue_seconds = self._queue_seconds.labels(model)
        for seconds in waited:
            queue_seconds.observe(seconds)

    def scored(self, model: str, version: int, times: BatchTimes) -> None:
        """A batch came to an end, and not by an error."""
        self.statistics.scored(model, version, times)

    def computed(self, model: str, seconds: float, by_member: Mapping[str, float]) -> None:
        """A batch took `seconds` in all, and so long in each member."""
        self._compute_seconds.labels(model).observe(seconds)
        for member, member_seconds in by_member.items():
            self._member_compute_seconds.labels(model, member).observe(member_seconds)

    def member_failed(self, model: str, member: str) -> None:
        """`member` could not score a batch."""
        self._member_failures.labels(model, member).inc()
        self.statistics.member_failed(model, member)

    def degraded(self, model: str, missing: Collection[str]) -> None:
        """A batch was answered without these members."""
        for member in missing:
            self._degraded.labels(model, member).inc()

    def agreed(self, model: str, by_member: Mapping[str, Agreement]) -> None:
        """Count how far each member's scores for a batch were from the ensemble's."""
        for member, agreement in by_member.items():
            self._member_rows.labels(model, member).inc(agreement.rows)
            self._member_same_top.labels(model, member).inc(agreement.same_top_class)
            self._member_divergence.labels(model, member).inc(agreement.divergence_sum)

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
        self._forget(model)
        for member, weight in weights.items():
            self._member_weight.labels(model, member).set(weight)
        for member, member_loss in losses.items():
            self._member_validation_loss.labels(model, member).set(member_loss)
        if loss is not None:
            self._validation_loss.labels(model).set(loss)
        self._active_version.labels(model).set(version)
        self.statistics.swapped(model, version)
        self.refits.served(model, version, refit)

    def serving(self, model: str, versions: Collection[int]) -> None:
        """Exactly these versions of `model` are served now."""
        forget(self._served_version, {"model": model}, shared=self._shared)
        for version in versions:
            self._served_version.labels(model, str(version)).set(1)
        self.statistics.serving(model, versions)

    def dropped(self, model: str) -> None:
        """No version of `model` is served any more."""
        self._forget(model)
        forget(self._served_version, {"model": model}, shared=self._shared)

    def _forget(self, model: str) -> None:
        """Take back what was said of the version that answered: it holds no longer."""
        for gauge in (
            self._member_weight,
            self._member_validation_loss,
            self._validation_loss,
            self._active_version,
        ):
            forget(gauge, {"model": model}, shared=self._shared)

    def loaded(self, model: str, seconds: float) -> None:
        """A version was read, checked and warmed."""
        self._loads.labels(model, "loaded").inc()
        self._load_seconds.labels(model).observe(seconds)

    def load_failed(self, model: str, reason: str) -> None:
        """A version could not be taken up, for a reason in one word; what was served still is."""
        self._loads.labels(model, "failed").inc()
        self._load_failures.labels(model, reason).inc()

    def store_read(self) -> None:
        """All that is in the store was seen."""
        self._store_read_at.set_to_current_time()
        self._store_reachable.set(1)

    def store_failed(self) -> None:
        """The store could not be read."""
        self._store_errors.inc()
        self._store_reachable.set(0)
