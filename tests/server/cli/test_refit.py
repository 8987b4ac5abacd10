import json
from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import InvalidDataError, InvalidRequestError
from model_store.errors import ConflictError
from model_store.store import Store
from tests.server.cli.refits import refit
from tests.support.flowers import NAME


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
