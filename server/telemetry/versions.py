"""Which versions are served, with which weights and losses, and how taking them up went."""

from collections.abc import Collection, Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Summary

from .shared import forget


class VersionMetrics:
    """Shows what the manager tells. Safe to call from any thread.

    `shared`: this is one of several processes whose values are added up.
    """

    def __init__(self, registry: CollectorRegistry, *, shared: bool = False) -> None:
        self._shared = shared
        # Of several processes: what a living one said last.
        newest = partial(Gauge, registry=registry, multiprocess_mode="livemostrecent")
        self._member_weight = newest(
            "unisono_member_weight", "How much the member counts in the served version.", ["model", "member"]
        )
        self._member_validation_loss = newest(
            "unisono_member_validation_loss_nats",
            "The member's log-loss on the validation file that the served weights were learned on.",
            ["model", "member"],
        )
        self._validation_loss = newest(
            "unisono_validation_loss_nats",
            "The served version's log-loss on the validation file that its weights were learned on.",
            ["model"],
        )
        self._active_version = newest(
            "unisono_active_version", "The version that answers who names none.", ["model"]
        )
        self._served_version = newest(
            "unisono_served_version", "1 for each version that is served.", ["model", "version"]
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

    def swapped(
        self,
        model: str,
        version: int,
        *,
        weights: Mapping[str, float],
        losses: Mapping[str, float],
        loss: float | None,
    ) -> None:
        """`version` answers now who names none, with these weights and, where known, losses in nats."""
        self._forget(model)
        for member, weight in weights.items():
            self._member_weight.labels(model, member).set(weight)
        for member, member_loss in losses.items():
            self._member_validation_loss.labels(model, member).set(member_loss)
        if loss is not None:
            self._validation_loss.labels(model).set(loss)
        self._active_version.labels(model).set(version)

    def serving(self, model: str, versions: Collection[int]) -> None:
        """Exactly these versions of `model` are served now."""
        forget(self._served_version, {"model": model}, shared=self._shared)
        for version in versions:
            self._served_version.labels(model, str(version)).set(1)

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
