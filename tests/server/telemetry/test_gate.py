import pytest
from prometheus_client import CollectorRegistry

from server.telemetry.gate import GateMetrics


def test_a_file_that_cannot_be_used_is_stale_until_it_is_right_again() -> None:
    registry = CollectorRegistry()
    metrics, seen = GateMetrics(registry), list[float | None]()
    for tell in (metrics.reload_settled, metrics.reload_failed, metrics.reloaded, metrics.reload_settled):
        tell("tokens")
        seen.append(registry.get_sample_value("unisono_reload_stale", {"what": "tokens"}))
    assert seen == [0, 1, 1, 0]


@pytest.mark.parametrize("outcome", ["taken", "failed"])
def test_reloads_are_counted_by_outcome(outcome: str) -> None:
    registry = CollectorRegistry()
    metrics = GateMetrics(registry)
    metrics.reloaded("certificates") if outcome == "taken" else metrics.reload_failed("certificates")
    labels = {"what": "certificates", "outcome": outcome}
    assert registry.get_sample_value("unisono_reloads_total", labels) == 1
