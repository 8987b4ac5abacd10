import re
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from server.engine.agreement import Agreement
from server.telemetry.metrics import Metrics
from server.telemetry.refits import RefitFigures
from server.telemetry.workers import WorkerMetrics

PAGE = Path(__file__).parents[3] / "docs/reference/metrics.md"


def scrape(metrics: Metrics) -> dict[str, float]:
    """Every sample, as it is written in a scrape."""
    lines = generate_latest(metrics.registry).decode().splitlines()
    return {
        name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")
    }


def fed() -> Metrics:
    """Metrics that have been told of everything once."""
    metrics = Metrics(CollectorRegistry())
    metrics.handled(method="ModelInfer", model="digits", version="1", code="OK", seconds=0.01)
    metrics.queued(7)
    metrics.batched("digits", 5, [0.001, 0.002])
    metrics.computed("digits", 0.02, {"a": 0.015})
    metrics.member_failed("digits", "a")
    metrics.degraded("digits", ["forest"])
    metrics.agreed("digits", {"a": Agreement(rows=5, same_top_class=4, divergence_sum=0.5)})
    metrics.agreed("prices", {"a": Agreement(rows=2, distance_sum=1.5)})
    metrics.swapped("digits", 1, weights={"a": 1.0}, losses={"a": 0.3}, loss=0.2)
    figures = RefitFigures({"incumbent": 0.25, "learned": 0.125}, 1e-12)
    metrics.refits.finished("digits", "held", 2.5, figures=figures)
    of_values = RefitFigures({"incumbent": 9.0, "learned": 4.0}, 1e-12, "mean squared error")
    metrics.refits.finished("prices", "published", 2.5, figures=of_values)
    metrics.loaded("digits", 0.5)
    metrics.load_failed("digits", "digest")
    metrics.serving("digits", {1, 2})
    metrics.store.store_read()
    metrics.store.store_failed()
    metrics.gate.reload_failed("tokens")
    metrics.gate.refused("calls")
    return metrics


def test_what_is_told_is_what_is_scraped() -> None:
    seen = scrape(fed())
    expected = {
        'unisono_requests_total{code="OK",method="ModelInfer",model="digits",version="1"}': 1,
        'unisono_request_seconds_sum{method="ModelInfer",model="digits"}': 0.01,
        "unisono_queue_rows": 7,
        'unisono_batch_rows_bucket{le="4.0",model="digits"}': 0,
        'unisono_batch_rows_bucket{le="8.0",model="digits"}': 1,
        'unisono_queue_seconds_count{model="digits"}': 2,
        'unisono_compute_seconds_sum{model="digits"}': 0.02,
        'unisono_member_compute_seconds_sum{member="a",model="digits"}': 0.015,
        'unisono_member_failures_total{member="a",model="digits"}': 1,
        'unisono_member_compared_rows_total{member="a",model="digits"}': 5,
        'unisono_member_same_top_class_total{member="a",model="digits"}': 4,
        'unisono_member_divergence_nats_total{member="a",model="digits"}': 0.5,
        'unisono_member_weight{member="a",model="digits"}': 1,
        'unisono_member_validation_loss_nats{member="a",model="digits"}': 0.3,
        'unisono_validation_loss_nats{model="digits"}': 0.2,
        'unisono_active_version{model="digits"}': 1,
        'unisono_version_loads_total{model="digits",outcome="loaded"}': 1,
        'unisono_version_loads_total{model="digits",outcome="failed"}': 1,
        'unisono_version_load_failures_total{model="digits",reason="digest"}': 1,
        'unisono_version_load_seconds_sum{model="digits"}': 0.5,
        'unisono_served_version{model="digits",version="1"}': 1,
        'unisono_served_version{model="digits",version="2"}': 1,
        "unisono_store_errors_total": 1,
        "unisono_store_reachable": 0,
        'unisono_refits_total{model="digits",outcome="held"}': 1,
        'unisono_refit_seconds_sum{model="digits"}': 2.5,
        'unisono_refit_loss_nats{model="digits",weighting="incumbent"}': 0.25,
        'unisono_refit_loss_nats{model="digits",weighting="learned"}': 0.125,
        'unisono_refit_gap_nats{model="digits"}': 1e-12,
        # Of values nothing is told in nats, and nothing of classes.
        'unisono_member_compared_rows_total{member="a",model="prices"}': 2,
        'unisono_member_distance_total{member="a",model="prices"}': 1.5,
        'unisono_member_divergence_nats_total{member="a",model="prices"}': None,
        'unisono_refit_value_loss{loss="mean squared error",model="prices",weighting="learned"}': 4,
        'unisono_refit_loss_nats{model="prices",weighting="learned"}': None,
        'unisono_refit_gap_nats{model="prices"}': None,
    }
    assert {name: seen.get(name) for name in expected} == expected


def test_a_store_that_is_read_again_is_reachable_again() -> None:
    metrics = fed()
    metrics.store.store_read()
    assert scrape(metrics)["unisono_store_reachable"] == 1


def test_members_of_an_older_version_leave_the_scrape() -> None:
    metrics = fed()
    metrics.agreed("prices", {"a": Agreement(rows=2, distance_sum=1.5)})
    metrics.swapped("digits", 2, weights={"b": 1.0}, losses={}, loss=None)
    seen = scrape(metrics)
    assert [name for name in seen if name.startswith("unisono_member_weight")] == [
        'unisono_member_weight{member="b",model="digits"}'
    ]
    assert not [name for name in seen if "validation_loss" in name]
    assert seen['unisono_active_version{model="digits"}'] == 2


def test_versions_that_are_served_no_more_leave_the_scrape() -> None:
    metrics = fed()
    metrics.serving("digits", {2, 3})
    assert [name for name in scrape(metrics) if name.startswith("unisono_served_version")] == [
        'unisono_served_version{model="digits",version="2"}',
        'unisono_served_version{model="digits",version="3"}',
    ]


def test_when_the_store_was_read_is_told() -> None:
    assert scrape(fed())["unisono_store_last_read_timestamp_seconds"] > 1.7e9


def test_nothing_is_said_of_an_ensemble_that_is_served_no_more() -> None:
    metrics = fed()
    metrics.dropped("digits")
    gone = tuple(f"unisono_{name}" for name in ("member_weight", "active_v", "served_v", "validation_loss"))
    assert [name for name in scrape(metrics) if name.startswith(gone)] == []


def test_the_page_and_the_scrape_name_the_same_metrics_and_labels() -> None:
    metrics = fed()
    WorkerMetrics(metrics.registry)
    scraped = {
        family.name + ("_total" if family.type == "counter" else ""): {
            label
            for sample in family.samples
            for label in sample.labels
            if label != "le" and not sample.name.endswith("_created")
        }
        for family in metrics.registry.collect()
    }
    rows = re.findall(r"^\| `(unisono_\w+)` \| \w+ \|([^|]*)\|", PAGE.read_text(), re.MULTILINE)
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    assert documented == scraped
