"""What members do while they serve: failures, and how far they are from the ensemble."""

from collections.abc import Collection, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter

NAMED = ("model", "member")


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

    @property
    def distance_sum(self) -> float | None:
        """Of values: absolute difference, summed over the rows; they have nothing of the two above."""
        ...


class MemberMetrics:
    """Counts what the engine tells of members. Safe to call from any thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._failures = Counter(
            "unisono_member_failures", "Batches that a member could not score.", NAMED, registry=registry
        )
        self._degraded = Counter(
            "unisono_degraded_batches",
            "Batches that were answered without a member.",
            NAMED,
            registry=registry,
        )
        self._rows = Counter(
            "unisono_member_compared_rows",
            "Rows for which a member was compared with the ensemble.",
            NAMED,
            registry=registry,
        )
        self._same_top = Counter(
            "unisono_member_same_top_class",
            "Compared rows for which the member and the ensemble put the same class first.",
            NAMED,
            registry=registry,
        )
        self._divergence = Counter(
            "unisono_member_divergence_nats",
            "Jensen-Shannon divergence between member and ensemble, summed over the compared rows.",
            NAMED,
            registry=registry,
        )

        self._distance = Counter(
            "unisono_member_distance",
            "Absolute difference between a member's values and the ensemble's, summed over compared rows.",
            NAMED,
            registry=registry,
        )

    def failed(self, model: str, member: str) -> None:
        """`member` could not score a batch."""
        self._failures.labels(model, member).inc()

    def degraded(self, model: str, missing: Collection[str]) -> None:
        """A batch was answered without these members."""
        for member in missing:
            self._degraded.labels(model, member).inc()

    def agreed(self, model: str, by_member: Mapping[str, Agreement]) -> None:
        """Count how far each member's scores for a batch were from the ensemble's."""
        for member, agreement in by_member.items():
            self._rows.labels(model, member).inc(agreement.rows)
            if agreement.distance_sum is not None:
                self._distance.labels(model, member).inc(agreement.distance_sum)
                continue
            self._same_top.labels(model, member).inc(agreement.same_top_class)
            self._divergence.labels(model, member).inc(agreement.divergence_sum)
