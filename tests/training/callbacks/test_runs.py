"""What a run with every callback writes; and that a run which was killed ends as one that was not."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.tools import needs

pytestmark = pytest.mark.slow
# 15 % of digits' 1078 training rows decide when to stop.
HELD_OUT = 162
PNG = b"\x89PNG\r\n\x1a\n"


def run(folder: Path, *killed_after: int) -> subprocess.CompletedProcess[str]:
    child = [sys.executable, "-m", "tests.training.callbacks.runs", str(folder), *map(str, killed_after)]
    return subprocess.run(child, capture_output=True, text=True, check=False, timeout=240)


@pytest.fixture(name="folder", scope="module")
def fixture_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("dot")
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(name="whole", scope="module")
def fixture_whole(folder: Path) -> Any:
    done = run(folder)
    # Neither TensorFlow nor a callback says anything of its own.
    assert (done.stderr, done.returncode) == ("", 0)
    return json.loads(done.stdout)


# A kill costs another start of TensorFlow; `make proof` kills at every epoch. The sixth is behind the best.
KILLED_AFTER = range(1, 7) if os.environ.get("UNISONO_PROOF") == "whole" else (6,)


def test_a_run_that_is_killed_ends_with_the_same_parameters(whole: Any, tmp_path: Path) -> None:
    for epoch in KILLED_AFTER:
        assert run(tmp_path, epoch).returncode == -signal.SIGKILL
        # An epoch is told of before it is kept: of the first nothing is, and it is run again.
        assert (tmp_path / "runs/bndense/state.json").exists() == (epoch > 1)
        assert not (tmp_path / "bndense.keras").exists()
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    again = json.loads(done.stdout.splitlines()[-1])
    assert {**again, "events": None} == {**whole, "events": None}


def test_a_run_that_is_over_leaves_nothing_to_go_on_with(whole: Any, folder: Path) -> None:
    assert whole["epochs"] > 3
    left = {path.name for path in (folder / "runs/bndense").iterdir()}
    assert left == {"epochs.csv", "tensorboard"}


def test_the_losses_of_each_epoch_are_in_a_csv_file_and_the_rate_fell(whole: Any) -> None:
    lines = list(csv.DictReader(whole["losses"]))
    assert [int(line["epoch"]) for line in lines] == list(range(whole["epochs"]))
    assert all(float(line["val_loss"]) > 0 for line in lines)
    rates = [float(line["learning_rate"]) for line in lines]
    assert rates[0] == pytest.approx(0.02)
    assert rates[-1] == pytest.approx(0.01)


def test_the_rate_falls_and_the_run_stops_when_the_losses_say_so(whole: Any) -> None:
    lines = list(csv.DictReader(whole["losses"]))
    best, wait, rate, since, counted = np.inf, 0, 0.02, 0, np.inf
    for line in lines:
        assert since < 3
        assert float(line["learning_rate"]) == pytest.approx(rate)
        loss = float(line["val_loss"])
        # ReduceLROnPlateau: an epoch that gains less than 0.0001 halves the rate.
        best, wait = (loss, 0) if loss < best - 1e-4 else (best, wait + 1)
        rate, wait = (rate / 2, 0) if wait >= 1 else (rate, wait)
        # EarlyStopping: three epochs that gain less than 0.05 in all.
        counted, since = (loss, 0) if loss < counted - 0.05 else (counted, since + 1)
    assert since == 3
    assert len(lines) < 8


def test_a_schedule_sets_the_rate_of_each_epoch(whole: Any) -> None:
    rates = [float(line["learning_rate"]) for line in csv.DictReader(whole["scheduled"])]
    # A hundredth of the rate after all epochs, by the same factor each.
    assert rates == pytest.approx([0.01, 0.01 * 0.01 ** (1 / 3), 0.01 * 0.01 ** (2 / 3)], rel=1e-5)


def test_tensorboards_numbers_are_those_of_the_csv_file_and_its_histograms_of_all_values(whole: Any) -> None:
    lines = list(csv.DictReader(whole["losses"]))
    train, validation, activations = (
        whole["events"][name] for name in ("train", "validation", "activations")
    )
    for found, tag, column in (
        (train, "epoch_loss", "loss"),
        (validation, "epoch_loss", "val_loss"),
    ):
        expected = [float(line[column]) for line in lines]
        assert found["values"][tag] == pytest.approx(expected, rel=1e-5)
    # It reads the rate once the epoch is over: the next epoch's.
    rates = [float(line["learning_rate"]) for line in lines]
    assert train["values"]["epoch_learning_rate"][:-1] == pytest.approx(rates[1:], rel=1e-5)
    # Digits have 28 x 28 pixels once they are resized, and ten classes; 162 held-out rows are looked at.
    assert set(train["counts"]["scores/bias/histogram"]) == {10}
    assert set(activations["counts"]["scores/activations"]) == {10 * HELD_OUT}
    assert len(train["counts"]["scores/bias/histogram"]) == whole["epochs"]


def test_the_member_and_the_captured_scores_are_of_the_best_epoch(whole: Any) -> None:
    losses = [float(line["val_loss"]) for line in csv.DictReader(whole["losses"])]
    assert whole["captured"]["epoch"] == 1 + int(np.argmin(losses))
    assert whole["captured"]["log_loss"] == pytest.approx(whole["log_loss"], abs=1e-6)
    assert len(whole["captured"]["label"]) == 359


def test_tensorboard_has_losses_graph_and_histograms_of_parameters_and_activations(whole: Any) -> None:
    train, validation, activations = (
        whole["events"][name] for name in ("train", "validation", "activations")
    )
    assert train["scalars"] == ["epoch_learning_rate", "epoch_loss"]
    assert validation["scalars"] == ["epoch_loss", "evaluation_loss_vs_iterations"]
    assert train["graph_keras_model"] == ["keras"]
    assert whole["events"]["graph"]["operations"] > 20
    assert "dense/kernel/histogram" in train["histograms"]
    assert "scores/activations" in activations["histograms"]
    assert len(activations["histograms"]) == 7


def test_the_projector_has_a_point_a_class_and_a_picture_for_each_row(whole: Any, folder: Path) -> None:
    assert whole["epochs"] > 0
    board = folder / "runs/bndense/tensorboard/validation"
    points = np.loadtxt(board / "points.tsv", delimiter="\t")
    classes = (board / "classes.tsv").read_text().split()
    assert points.shape == (len(classes), 32)
    assert set(classes) == set("0123456789")
    assert (board / "sprite.png").read_bytes().startswith(PNG)
    config = (board / "projector_config.pbtxt").read_text()
    assert all(name in config for name in ("points.tsv", "classes.tsv", "sprite.png", "single_image_dim: 28"))


def test_the_network_is_drawn(whole: Any, folder: Path) -> None:
    assert whole["epochs"] > 0
    assert (folder / "bndense.png").read_bytes().startswith(PNG)
