"""A search with real networks, in child processes, so that TensorFlow stays out of the tests'."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


def run(folder: Path, *killed_in: int) -> subprocess.CompletedProcess[str]:
    child = [sys.executable, "-m", "tests.training.search.searching", str(folder), *map(str, killed_in)]
    return subprocess.run(child, capture_output=True, text=True, check=False, timeout=240)


def result(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(name="whole", scope="module")
def fixture_whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return result(run(tmp_path_factory.mktemp("whole")))


def test_the_best_are_kept_and_the_test_rows_looked_at_once(whole: Any) -> None:
    assert whole["begun"] == [0, 1, 2, 3]
    assert whole["trials"] == 4
    # sepconv wants images: those trials fail and the search goes on.
    assert {params["architecture"] for _, params, _ in whole["best"]} == {"bndense"}
    (first, _, (least,)), (second, _, (more,)) = whole["best"]
    assert least <= more
    assert whole["looks"] == [first]
    assert 0 < whole["test"]["log_loss"] < 2
    names = sorted(f"trial-{number:04d}" for number in (first, second))
    assert whole["captured"] == [f"{name}.npz" for name in names]
    rows = ["test.json", "test.npz", "test.parquet", "validation.npz"]
    members = [f"{name}.{kind}" for name in names for kind in ("json", "keras")]
    assert whole["files"] == sorted(["course.png", "predictions", "runs", "study.db", *rows, *members])


@pytest.mark.skipif(
    os.environ.get("UNISONO_PROOF") != "whole", reason="two more starts of TensorFlow: `make proof` kills it"
)
def test_a_search_that_is_killed_finds_what_it_would_have(whole: Any, tmp_path: Path) -> None:
    killed_in = whole["best"][0][0]
    assert run(tmp_path, killed_in).returncode == -signal.SIGKILL
    assert result(run(tmp_path)) == {**whole, "begun": list(range(killed_in, 4))}
