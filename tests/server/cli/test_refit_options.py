"""What a refit is told: what rows are to it, which pools compete, which loss decides, what may be lost."""

import json
from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import InvalidDataError, InvalidRequestError
from ensemble.loading.load import load_servable
from model_store.store import Store
from tests.server.cli.refits import refit
from tests.support.flowers import NAME


def with_columns(folder: Path) -> None:
    """Give every row a day, a patient, a weight and a site; one row in four counts for nothing."""
    for file in (folder / "val.npz", folder / "test.npz"):
        rows = np.load(file)
        x, y = rows["x"], rows["y"]
        index = np.arange(len(y))
        counts = (index % 4 > 0).astype(float)
        np.savez(file, x=x, y=y, day=index // 5, patient=index // 4, counts=counts, site=index % 2)


@pytest.mark.parametrize(
    "more",
    [["--group", "patient"], ["--time-order", "day"], ["--sample-weight", "counts"], ["--slice", "site"]],
    ids=" ".join,
)
def test_columns_say_what_rows_are_to_a_refit(folder: Path, more: list[str]) -> None:
    with_columns(folder)
    assert refit(folder, *more) == 0


def test_a_column_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(InvalidDataError, match="patient"):
        refit(folder, "--group", "patient")


def test_rows_are_kept_together_in_one_way(folder: Path) -> None:
    with pytest.raises(InvalidRequestError, match="name one"):
        refit(folder, "--group", "patient", "--time-order", "day")


def test_a_pool_that_is_asked_for_and_wins_is_published_with_its_parameters(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refit(folder, "--pools", "linear,temperature,log", "-o", "json") == 0
    shown = json.loads(capsys.readouterr().out)
    store = Store.open(str(folder / "store"))
    assert shown["chosen"].startswith(("log_", "linear_temperature"))
    assert store.manifest(NAME).pool == shown["pool"] == store.manifest(NAME).evidence["pool"]
    assert shown["pool"]["temperature"] > 0
    served = load_servable(store, NAME)
    rows = np.load(folder / "test.npz")
    given = served.score({"x": rows["x"]}).astype(float)
    loss = -np.log(given[np.arange(len(given)), rows["y"]]).mean()
    # What is served is what was judged.
    assert shown["test"]["losses"]["learned"] == pytest.approx(loss, abs=1e-6)


def test_only_averages_compete_unless_others_are_asked_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refit(folder, "-o", "json")
    shown = json.loads(capsys.readouterr().out)
    assert shown["pool"] == {"form": "linear"}
    assert not any(name.startswith("log_") or "temperature" in name for name in shown["held_out"])


@pytest.mark.parametrize("objective", ["brier", "accuracy"])
def test_another_loss_may_decide(folder: Path, capsys: pytest.CaptureFixture[str], objective: str) -> None:
    refit(folder, "--objective", objective, "-o", "json")
    shown = json.loads(capsys.readouterr().out)
    assert shown["objective"] == objective
    measure = {"brier": "brier", "accuracy": "accuracy"}[objective]
    better = shown["validation"][measure]["learned"] - shown["validation"][measure]["uniform"]
    assert (better <= 0) if objective == "brier" else (better >= 0)


def test_a_log_pool_has_no_other_objective(folder: Path) -> None:
    with pytest.raises(InvalidRequestError, match="with --objective brier name linear alone"):
        refit(folder, "--objective", "brier", "--pools", "linear,log")


def test_a_form_that_is_none_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidRequestError, match="pools are some of linear, temperature, log; got 'median'"):
        refit(folder, "--pools", "median")


def test_members_go_for_what_they_may_cost(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refit(folder, "--max-cost", "1") == 0
    shown = capsys.readouterr().out
    assert "Let go: " in shown
    assert "ms a row" in shown
    store = Store.open(str(folder / "store"))
    weights = store.weights(store.manifest(NAME))
    removed = [each["member"] for each in store.manifest(NAME).evidence["pruning"]["removed"]]
    assert removed
    assert all(weights[name] == 0 for name in removed)


def test_where_no_member_may_go_that_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refit(folder)
    capsys.readouterr()
    refit(folder, "--max-cost", "0", "--dry-run")
    assert "No member can go for 0 a row or less." in capsys.readouterr().out


def test_what_members_may_cost_is_not_negative(folder: Path) -> None:
    with pytest.raises(InvalidRequestError, match="what fewer members may cost is >= 0; got -1"):
        refit(folder, "--max-cost", "-1")


def test_another_pool_is_shown_with_its_parameters(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refit(folder, "--pools", "log", "--dry-run") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "(log pool, temperature " in shown
    assert "no other exponents of these members can have a log-loss, ridge included" in shown


def test_held_out_losses_are_called_what_they_are(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refit(folder, "--objective", "brier", "--dry-run") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Held-out Brier score of each candidate" in shown
    assert "no other weighting of these members can have a Brier score" in shown
