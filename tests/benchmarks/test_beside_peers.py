"""The measurement beside peers, at its smallest: real servers, real loads, small members."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble.runtimes.sample import random_rows
from ensemble.signature import Signature
from model_store.store import Store
from tests.support.onnx_models import write_linear
from tests.support.tools import missing, needs

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "beside_peers.py"
PEER = ROOT / ".venv-peers" / "fastapi" / "bin" / "python"
ROWS = 8

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tools() -> None:
    """Skip without the load generator and the one peer that is asked here."""
    needs("h2load")
    if not PEER.exists():
        missing(f"no {PEER}: `make test` makes it")


@pytest.fixture(scope="module")
def offered(tmp_path_factory: pytest.TempPathFactory, unisono: Callable[..., object]) -> tuple[Path, Path]:
    """A store with the ensemble `sums` of two members, and the right scores of its rows."""
    folder = tmp_path_factory.mktemp("offered")
    scores = [write_linear(folder / f"{name}.onnx", seed=seed) for seed, name in enumerate(("a", "b"))]
    members = [f"--member={name}={folder / name}.onnx" for name in ("a", "b")]
    unisono("publish", "sums", *members, "--store", folder / "store")
    signature = Signature.from_json(Store.open(str(folder / "store")).manifest("sums").signature)
    rows = random_rows(signature, ROWS, seed=1)
    np.savez(folder / "right.npz", sums=np.mean([score(rows) for score in scores], axis=0))
    return folder / "store", folder / "right.npz"


@pytest.fixture
def measured(tools: None, tmp_path: Path) -> Callable[[Path, Path], dict[str, Any]]:  # noqa: ARG001 - it skips
    """Run the measurement with `--quick`; return what it wrote as JSON."""

    def run(store: Path, reference: Path) -> dict[str, Any]:
        options: list[str | Path] = ["--store", store, "--reference", reference, "--results", tmp_path]
        command: list[str | Path] = [sys.executable, SCRIPT, "--quick", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads((tmp_path / "beside_peers.json").read_text())
        return found

    return run


def test_it_checks_and_times_unisono_and_a_peer(
    measured: Callable[[Path, Path], dict[str, Any]], offered: tuple[Path, Path]
) -> None:
    found = measured(*offered)

    for name, system in found["systems"].items():
        assert system["left_out"] is None, name
        assert system["largest_error"] < 1e-5
    for concurrency in ("1", "8"):
        cells = found["cells"]["sums"][concurrency]
        assert set(cells) == {"unisono", "fastapi"}
        for cell in cells.values():
            assert cell["rows_per_sec"] > 10
            assert 0 < cell["p50"] <= cell["p95"] <= cell["p99"]
            assert 0 < cell["cpu_ms"] < 2 * 1000


def test_a_system_that_answers_wrong_scores_is_listed_and_not_timed(
    measured: Callable[[Path, Path], dict[str, Any]], offered: tuple[Path, Path], tmp_path: Path
) -> None:
    store, right = offered
    with np.load(right) as held:
        np.savez(tmp_path / "wrong.npz", sums=held["sums"] + 2e-5)

    found = measured(store, tmp_path / "wrong.npz")

    assert found["cells"]["sums"] == {"1": {}, "8": {}}
    for system in found["systems"].values():
        assert "2.0e-05 from the float64 reference" in system["left_out"]
