from math import inf

import pytest
from prometheus_client import CollectorRegistry

from server.telemetry.refits import RefitFigures, RefitMetrics

EVIDENCE = {
    "solver": {"gap": 1e-12},
    "validation": {"losses": {"incumbent": None, "uniform": 0.3, "learned": 0.125, "members": {}}},
}
FIGURES = RefitFigures({"incumbent": inf, "learned": 0.125}, 1e-12)


@pytest.fixture(name="registry")
def fixture_registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture(name="metrics")
def fixture_metrics(registry: CollectorRegistry) -> RefitMetrics:
    return RefitMetrics(registry)


def count(registry: CollectorRegistry, outcome: str) -> float | None:
    return registry.get_sample_value("unisono_refits_total", {"model": "digits", "outcome": outcome})


def test_figures_are_read_from_evidence_where_null_is_infinite() -> None:
    assert RefitFigures.of(EVIDENCE) == FIGURES


def test_a_version_that_no_refit_made_has_none() -> None:
    assert RefitFigures.of({}) is None
    assert RefitFigures.of({"validation": {"losses": {}}}) is None


def test_what_came_of_a_refit_is_counted_and_its_figures_shown(
    registry: CollectorRegistry, metrics: RefitMetrics
) -> None:
    metrics.finished("digits", "held", 2.0, figures=FIGURES)
    metrics.finished("digits", "failed", 1.0)
    assert (count(registry, "held"), count(registry, "failed"), count(registry, "published")) == (1, 1, None)
    assert registry.get_sample_value("unisono_refit_seconds_sum", {"model": "digits"}) == 3
    loss = {"model": "digits", "weighting": "incumbent"}
    assert registry.get_sample_value("unisono_refit_loss_nats", loss) == inf
    assert registry.get_sample_value("unisono_refit_gap_nats", {"model": "digits"}) == 1e-12


def test_the_version_a_server_starts_with_is_no_news(
    registry: CollectorRegistry, metrics: RefitMetrics
) -> None:
    metrics.served("digits", 7, FIGURES)
    assert count(registry, "published") is None
    assert registry.get_sample_value("unisono_refit_gap_nats", {"model": "digits"}) == 1e-12


@pytest.mark.parametrize("told_first", ["finished", "served"])
def test_a_published_refit_is_counted_once_whoever_tells_first(
    registry: CollectorRegistry, metrics: RefitMetrics, told_first: str
) -> None:
    metrics.served("digits", 1, None)
    if told_first == "finished":
        metrics.finished("digits", "published", 1.0, version=2, figures=FIGURES)
        metrics.served("digits", 2, FIGURES)
    else:
        metrics.served("digits", 2, FIGURES)
        metrics.finished("digits", "published", 1.0, version=2, figures=FIGURES)
    assert count(registry, "published") == 1


def test_refits_elsewhere_are_counted_when_they_are_taken_up_and_rollbacks_and_other_versions_are_not(
    registry: CollectorRegistry, metrics: RefitMetrics
) -> None:
    metrics.served("digits", 1, None)
    metrics.served("digits", 2, FIGURES)
    metrics.served("digits", 1, None)
    metrics.served("digits", 2, FIGURES)
    metrics.served("digits", 3, None)
    assert count(registry, "published") == 1
