import json
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from model_store.store import Store
from server.cli.demonstration.callers import calling
from server.cli.demonstration.server_process import ServerProcess, serving
from server.wire.messages import message_class
from tests.conftest import Unisono

from .test_serve import rows_of

pytestmark = pytest.mark.slow

Ask = Callable[..., Any]


@pytest.fixture(name="controlled")
def fixture_controlled(store: Path, small_members: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that looks at its store at the start, and then only when it is told to."""
    options = [
        *("--enable-control", "--poll-interval-secs", "3600"),
        *("--refit-data", f"validation={small_members / 'validation.npz'}"),
        *("--refit-data", f"test={small_members / 'test.npz'}"),
    ]
    with serving(str(store), tmp_path / "serve.log", options) as process:
        yield process


@pytest.fixture(name="ask")
def fixture_ask(controlled: ServerProcess) -> Iterator[Ask]:
    """Call one method of Control about `digits`."""
    with grpc.insecure_channel(controlled.address) as channel:

        def ask(method: str, **fields: Any) -> Any:
            request = message_class(f"unisono.v1.{method}Request")(ensemble="digits", **fields)
            response = message_class(f"unisono.v1.{method}Response")
            path = f"/unisono.v1.Control/{method}"
            return channel.unary_unary(path, type(request).SerializeToString, response.FromString)(
                request, timeout=120
            )

        yield ask


def sample(text: str, name: str, **labels: str) -> float | None:
    """One sample of a scrape, of `digits`."""
    wanted = {"model": "digits"} | labels
    for family in text_string_to_metric_families(text):
        for each in family.samples:
            if each.name == name and each.labels == wanted:
                return float(each.value)
    return None


def test_a_refit_by_rpc_is_published_and_served_at_once_and_the_metrics_tell(
    controlled: ServerProcess, ask: Ask, small_members: Path
) -> None:
    rows = {"image": rows_of(small_members / "test.npz")["image"][:7]}
    with calling(controlled.address, "digits", rows, callers=4) as tally:
        found = ask("Refit", data="validation", test="test", label="label", by="ann", why="spring")
    assert tally.failures == []
    assert (found.outcome, found.version, found.parent) == ("published", 2, 1)
    assert found.learned_loss < found.incumbent_loss
    assert json.loads(found.evidence_json)["test"]["data"]["rows"] > 0

    # Served by the time of the answer, though the next poll is an hour away.
    scraped = controlled.metrics()
    assert sample(scraped, "unisono_active_version") == 2
    assert sample(scraped, "unisono_refits_total", outcome="published") == 1
    assert sample(scraped, "unisono_refit_seconds_sum") == pytest.approx(found.seconds)
    assert sample(scraped, "unisono_refit_loss_nats", weighting="learned") == found.learned_loss
    assert sample(scraped, "unisono_refit_loss_nats", weighting="incumbent") == found.incumbent_loss
    assert sample(scraped, "unisono_refit_gap_nats") == found.gap
    assert sample(scraped, "unisono_requests_total", method="Refit", version="1", code="OK") == 1
    for each in found.weights:
        assert sample(scraped, "unisono_member_weight", member=each.member) == each.weight
    # What learns weights is not in the process that serves.
    assert "site-packages/scipy/" not in Path(f"/proc/{controlled.process.pid}/maps").read_text()


def test_a_refit_by_rpc_that_is_held_or_fails_changes_nothing_and_the_metrics_tell(
    controlled: ServerProcess, ask: Ask, store: Path, small_members: Path
) -> None:
    ask("Refit", data="validation", label="label")
    again = ask("Refit", data="validation", label="label")
    assert (again.outcome, again.version, again.parent) == ("held", 0, 2)
    assert again.reasons
    with pytest.raises(grpc.RpcError) as refused:
        ask("Refit", data="validation", label="nowhere")
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "nowhere" in refused.value.details()
    assert str(small_members) not in refused.value.details()

    scraped = controlled.metrics()
    counts = {
        outcome: sample(scraped, "unisono_refits_total", outcome=outcome)
        for outcome in ("published", "held", "failed")
    }
    assert counts == {"published": 1, "held": 1, "failed": 1}
    assert sample(scraped, "unisono_refit_seconds_count") == 3
    assert sample(scraped, "unisono_active_version") == 2
    assert Store.open(str(store)).versions("digits") == [1, 2]


def test_weights_history_and_rollback_by_rpc_are_those_of_the_store(
    controlled: ServerProcess, ask: Ask, store: Path
) -> None:
    ask("Refit", data="validation", label="label")
    opened = Store.open(str(store))
    weights = ask("GetWeights")
    assert weights.version == 2
    assert {each.member: each.weight for each in weights.weights} == opened.weights(opened.manifest("digits"))

    ask("Rollback", version=1, why="a drill", by="ann")
    assert sample(controlled.metrics(), "unisono_active_version") == 1
    assert sample(controlled.metrics(), "unisono_refits_total", outcome="published") == 1
    told = ask("History")
    assert told.current == 1
    assert [(entry.op, entry.version) for entry in told.entries] == [
        ("rollback", 1),
        ("publish", 2),
        ("publish", 1),
    ]
    assert (told.entries[0].by, told.entries[0].why) == ("ann (over gRPC)", "a drill")
    assert told.entries[1].by == "somebody (over gRPC)"


def test_a_refit_by_command_is_seen_when_it_is_published(
    server: ServerProcess, store: Path, small_members: Path, unisono: Unisono, tmp_path: Path
) -> None:
    words = ("refit", "digits", "--data", small_members / "validation.npz", "--label", "label")
    told = ("--store", store, "--metrics", tmp_path / "refit.prom", "-o", "json")
    found = json.loads(unisono(*words, *told).stdout)
    end = monotonic() + 60
    while sample(server.metrics(), "unisono_active_version") != 2:
        assert monotonic() < end
        Event().wait(0.02)
    learned = found["validation"]["losses"]["learned"]
    for text in (server.metrics(), (tmp_path / "refit.prom").read_text()):
        assert sample(text, "unisono_refits_total", outcome="published") == 1
        assert sample(text, "unisono_refit_loss_nats", weighting="learned") == learned
        assert sample(text, "unisono_refit_gap_nats") == found["solver"]["gap"]


def told_of_refits(text: str) -> dict[str, float | None]:
    """What a scrape says of the refits of `digits`."""
    return {
        "published": sample(text, "unisono_refits_total", outcome="published"),
        "held": sample(text, "unisono_refits_total", outcome="held"),
        "times": sample(text, "unisono_refit_seconds_count"),
        "incumbent": sample(text, "unisono_refit_loss_nats", weighting="incumbent"),
        "learned": sample(text, "unisono_refit_loss_nats", weighting="learned"),
        "gap": sample(text, "unisono_refit_gap_nats"),
    }


def test_refits_by_rpc_and_by_command_published_and_held_are_each_in_the_metrics(
    controlled: ServerProcess, ask: Ask, store: Path, small_members: Path, unisono: Unisono, tmp_path: Path
) -> None:
    file = tmp_path / "refit.prom"
    words = ("refit", "digits", "--data", small_members / "validation.npz", "--label", "label")
    told = ("--store", store, "--metrics", file, "-o", "json")

    def of_command(code: int) -> dict[str, float | None]:
        found = json.loads(unisono(*words, *told, code=code).stdout)
        losses = found["validation"]["losses"]
        return {
            "incumbent": losses["incumbent"],
            "learned": losses["learned"],
            "gap": found["solver"]["gap"],
        }

    def of_rpc() -> dict[str, float | None]:
        found = ask("Refit", data="validation", label="label")
        return {"incumbent": found.incumbent_loss, "learned": found.learned_loss, "gap": found.gap}

    # Published by RPC, from uniform weights; then held by both, since nothing is left to gain.
    first = of_rpc()
    counted = {"published": 1, "held": None, "times": 1}
    assert told_of_refits(controlled.metrics()) == counted | first
    second = of_rpc()
    counted |= {"held": 1, "times": 2}
    assert told_of_refits(controlled.metrics()) == counted | second
    assert (sample(controlled.metrics(), "unisono_refit_seconds_sum") or 0) > 0
    # Of a command that held no server can know: what it writes is for the node exporter to show.
    assert told_of_refits(file.read_text() if file.exists() else "") == dict.fromkeys(
        ("published", "held", "times", "incumbent", "learned", "gap")
    )
    third = of_command(3)
    assert told_of_refits(file.read_text()) == {"published": None, "held": 1, "times": 1} | third
    assert (sample(file.read_text(), "unisono_refit_seconds_sum") or 0) > 0
    assert told_of_refits(controlled.metrics()) == counted | second

    # Published by the command, from the uniform weights that a rollback brought back.
    ask("Rollback", version=1, expect_seq=2)
    fourth = of_command(0)
    assert told_of_refits(file.read_text()) == {"published": 1, "held": None, "times": 1} | fourth
    end = monotonic() + 60
    # Its versions are looked for at once after any change over gRPC, or with the store's hint.
    while sample(controlled.metrics(), "unisono_active_version") != 3:
        assert monotonic() < end
        Event().wait(0.02)
    counted |= {"published": 2}
    assert told_of_refits(controlled.metrics()) == counted | fourth


def test_control_is_off_unless_it_is_asked_for(server: ServerProcess) -> None:
    with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/unisono.v1.Control/History")(b"", timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
