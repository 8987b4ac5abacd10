import json
from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import InvalidDataError, InvalidRequestError
from ensemble.loading.load import load_servable
from model_store.errors import ConflictError
from model_store.store import Store
from server.cli.main import application
from tests.support.flowers import NAME, publish_uniform, write_rows


@pytest.fixture(name="folder")
def fixture_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNISONO_STORE", str(tmp_path / "store"))
    publish_uniform(Store.open(str(tmp_path / "store")), tmp_path)
    write_rows(tmp_path / "val.npz")
    write_rows(tmp_path / "test.npz", seed=1)
    return tmp_path


def refit(folder: Path, *more: str) -> int:
    code: int = application()(
        ["refit", NAME, "--data", str(folder / "val.npz"), "--test", str(folder / "test.npz"), *more]
    )
    return code


def test_better_weights_are_published_and_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refit(folder, "--label", "y") == 0
    shown = capsys.readouterr().out
    for said in (
        "refit of version 1",
        "best single (fair)",
        "being served",
        "no other weighting of these members can have a log-loss on these 400 rows",
        "On the 400 test rows the learned weights beat uniform weights by",
        "published version 2",
    ):
        assert said in shown
    assert Store.open(str(folder / "store")).current(NAME) == 2


def test_a_second_refit_is_held_with_exit_code_three(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refit(folder)
    capsys.readouterr()
    assert refit(folder) == 3
    shown = capsys.readouterr().out
    assert "held: version 2 stays in service" in shown
    assert "no other weights are clearly better than the ones being served" in shown
    assert "--force --why REASON" in shown


def test_a_dry_run_publishes_nothing_and_is_no_failure(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refit(folder, "--dry-run") == 0
    assert "dry run: these weights would be published" in capsys.readouterr().out
    assert Store.open(str(folder / "store")).current(NAME) == 1


def test_json_is_one_object(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refit(folder, "-o", "json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["outcome"], shown["version"], shown["parent"]) == (NAME, "published", 2, 1)
    assert sum(shown["weights"].values()) == pytest.approx(1, abs=1e-12)
    assert shown["solver"]["converged"] is True
    assert shown["test"]["data"]["rows"] == 400


def test_a_forced_refit_says_that_it_was(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refit(folder)
    assert refit(folder, "--force", "--why", "a drill", "--by", "ann") == 0
    assert "published version 3 against the gate's verdict" in capsys.readouterr().out
    head = Store.open(str(folder / "store")).head(NAME)
    assert head is not None
    assert (head.by, head.why) == ("ann", "a drill")


def test_force_needs_a_reason(folder: Path) -> None:
    with pytest.raises(InvalidRequestError, match="say why"):
        refit(folder, "--force")


def test_an_infinite_loss_is_shown_as_such(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # So strong and wrong a piece of evidence that the sharpest member rules out the true class.
    rows = np.load(folder / "val.npz")
    x = rows["x"].copy()
    x[0] = [-40.0, 0.0, 0.0]
    np.savez(folder / "val.npz", x=x, y=rows["y"])
    assert refit(folder, "-o", "table", "--dry-run") == 0
    assert "∞" in capsys.readouterr().out


def test_a_gain_below_the_one_asked_for_is_held(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refit(folder, "--min-gain", "0.5") == 3
    assert "the gain is not sure" in capsys.readouterr().out


def test_scores_are_kept_where_asked(folder: Path) -> None:
    assert refit(folder, "--cache", str(folder / "cache"), "--dry-run") == 0
    # Three members over two files.
    assert len(list((folder / "cache").rglob("*.npy"))) == 6


def sample(path: Path, name: str) -> float:
    """Read one sample of a scrape in a file."""
    lines = [line.rpartition(" ") for line in path.read_text().splitlines()]
    return float(next(value for sampled, _, value in lines if sampled == name))


def test_what_came_of_it_is_written_for_prometheus(folder: Path) -> None:
    metrics = folder / "refit.prom"
    for code, outcome in ((0, "published"), (3, "held")):
        assert refit(folder, "--metrics", str(metrics)) == code
        assert sample(metrics, f'unisono_refits_total{{model="{NAME}",outcome="{outcome}"}}') == 1
        assert sample(metrics, f'unisono_refit_seconds_sum{{model="{NAME}"}}') > 0
        assert 0 < sample(metrics, f'unisono_refit_loss_nats{{model="{NAME}",weighting="learned"}}') < 1
        assert sample(metrics, f'unisono_refit_gap_nats{{model="{NAME}"}}') <= 1e-9

    with pytest.raises(InvalidDataError, match="nowhere"):
        refit(folder, "--metrics", str(metrics), "--label", "nowhere")
    assert sample(metrics, f'unisono_refits_total{{model="{NAME}",outcome="failed"}}') == 1
    assert "unisono_refit_gap_nats{" not in metrics.read_text()


@pytest.mark.parametrize("name", ["refit.txt", "none/refit.prom"])
def test_metrics_that_can_not_be_written_are_refused_before_anything_is_learned(
    folder: Path, name: str
) -> None:
    with pytest.raises(
        InvalidRequestError, match=r"name a file that ends in .prom, in a folder that is there"
    ):
        refit(folder, "--metrics", str(folder / name))
    assert Store.open(str(folder / "store")).current(NAME) == 1


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


def test_a_version_keeps_how_sure_its_weights_are_and_what_to_serve_without_each(folder: Path) -> None:
    assert refit(folder) == 0
    store = Store.open(str(folder / "store"))
    manifest = store.manifest(NAME)
    weights, evidence = store.weights(manifest), manifest.evidence
    voters = {name for name, weight in weights.items() if weight > 0}
    assert set(evidence["without"]) == voters
    for name, told in evidence["without"].items():
        assert told["weights"][name] == 0
        assert told["weights"].keys() == manifest.digests.keys()
        assert told["log_loss"] >= evidence["validation"]["losses"]["learned"]
    for low, high in evidence["weight_intervals"].values():
        assert 0 <= low <= high <= 1


def test_a_candidate_is_judged_and_not_published(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store.open(str(folder / "store"))
    record = store.manifest(NAME).members[1]
    copy = folder / "copy.onnx"
    copy.write_bytes(store.read_blob(NAME, record.blob))
    assert refit(folder, "--candidate", f"newcomer={copy}", "--dry-run") == 0
    assert "Candidate newcomer: " in capsys.readouterr().out
    assert refit(folder, "--candidate", f"newcomer={copy}", "-o", "json", "--dry-run") == 0
    told = json.loads(capsys.readouterr().out)["newcomers"]["newcomer"]
    # A copy of a member can't add to it.
    assert told["gain"] == pytest.approx(0, abs=1e-9)
    assert told["log_loss"] > 0


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


def test_a_refit_for_another_head_of_the_journal_does_nothing(folder: Path) -> None:
    with pytest.raises(ConflictError, match="at entry 1, not 0: somebody published or rolled back"):
        refit(folder, "--expect-seq", "0")
    assert Store.open(str(folder / "store")).current(NAME) == 1
    assert refit(folder, "--expect-seq", "1") == 0
    assert Store.open(str(folder / "store")).current(NAME) == 2


def test_what_it_took_is_told_and_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refit(folder, "--cache", str(folder / "scores"))
    assert "for the weights, the rest to choose and to judge." in " ".join(capsys.readouterr().out.split())
    seconds = Store.open(str(folder / "store")).manifest(NAME).evidence["seconds"]
    assert set(seconds) == {"scoring", "weights", "all"}
    assert 0 < seconds["weights"] < seconds["all"]


def test_each_slice_is_on_the_page(folder: Path) -> None:
    rows = np.load(folder / "val.npz")
    site = np.where(np.arange(400) % 2, "north", "south")
    np.savez(folder / "val.npz", x=rows["x"], y=rows["y"], site=site)
    assert refit(folder, "--slice", "site", "--report", str(folder / "report.html")) == 0
    page = (folder / "report.html").read_text()
    assert "Slice by slice" in page
    assert "site=north" in page
    evidence = Store.open(str(folder / "store")).manifest(NAME).evidence
    assert set(evidence["slices"]) == {"site=north", "site=south"}
    assert evidence["slices"]["site=north"]["mean"] > 0


def test_two_worker_processes_find_the_same_weights(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refit(folder, "--dry-run", "-o", "json")
    alone = json.loads(capsys.readouterr().out)["weights"]
    assert refit(folder, "--dry-run", "-o", "json", "--executor", "process", "--workers", "2") == 0
    assert json.loads(capsys.readouterr().out)["weights"] == alone
