"""What a scrape says of each member, in a table's words."""

from collections import defaultdict
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[str, dict[str, float]]  # metric -> member ("" for the ensemble's own) -> value


@dataclass(frozen=True, slots=True)
class MemberFigures:
    """One member on live traffic."""

    member: str
    weight: float
    validation_loss: float
    same_top_class: float  # share of the compared rows
    mean_divergence: float  # nats
    mean_compute_ms: float


def samples_of(text: str, model: str) -> Samples:
    """Sum a scrape's samples of `model` by metric and member."""
    found: Samples = defaultdict(lambda: defaultdict(float))
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.labels.get("model") == model:
                found[sample.name][sample.labels.get("member", "")] += sample.value
    return found


def member_figures(samples: Samples) -> list[MemberFigures]:
    """Work out each member's figures, the heaviest member first."""
    weights = samples["unisono_member_weight"]

    def ratio(over: str, under: str, member: str) -> float:
        return samples[over][member] / (samples[under][member] or float("nan"))

    compared = "unisono_member_compared_rows_total"
    return [
        MemberFigures(
            member=member,
            weight=weights[member],
            validation_loss=samples["unisono_member_validation_loss_nats"][member],
            same_top_class=ratio("unisono_member_same_top_class_total", compared, member),
            mean_divergence=ratio("unisono_member_divergence_nats_total", compared, member),
            mean_compute_ms=1000
            * ratio(
                "unisono_member_compute_seconds_sum",
                "unisono_member_compute_seconds_count",
                member,
            ),
        )
        for member in sorted(weights, key=lambda name: -weights[name])
    ]
