import json
from pathlib import Path

import numpy as np
import pytest

from training import train as module
from training.progress import Progress
from training.train import figures, train


def test_a_member_is_made_once(tmp_path: Path) -> None:
    (first,) = train(tmp_path, ["forest"])
    made = (tmp_path / "forest.onnx").stat()
    (second,) = train(tmp_path, ["forest"])
    kept = (tmp_path / "forest.onnx").stat()
    assert (first.reused, second.reused) == (False, True)
    assert (made.st_ino, made.st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)
    assert first.sha256 == second.sha256
    assert first.log_loss == second.log_loss


def test_a_member_whose_file_was_cut_off_is_made_again(tmp_path: Path) -> None:
    (first,) = train(tmp_path, ["forest"])
    file = tmp_path / "forest.onnx"
    whole = file.read_bytes()
    file.write_bytes(whole[:1000])
    (second,) = train(tmp_path, ["forest"])
    assert (second.reused, second.sha256) == (False, first.sha256)
    assert file.read_bytes() == whole


@pytest.mark.parametrize("receipt", ["", "{", "[]", '{"made_by": {}, "trained": {"name": "forest"}}'])
def test_a_member_without_a_readable_receipt_is_made_again(tmp_path: Path, receipt: str) -> None:
    train(tmp_path, ["forest"])
    whole = (tmp_path / "forest.json").read_bytes()
    (tmp_path / "forest.json").write_text(receipt)
    (again,) = train(tmp_path, ["forest"])
    assert again.reused is False
    assert json.loads((tmp_path / "forest.json").read_bytes())["made_by"] == json.loads(whole)["made_by"]


def test_another_seed_makes_another_member_on_the_same_rows(tmp_path: Path) -> None:
    (first,) = train(tmp_path, ["forest"], seed=0)
    rows = (tmp_path / "validation.npz").read_bytes()
    (second,) = train(tmp_path, ["forest"], seed=1)
    assert (second.reused, second.sha256 == first.sha256) == (False, False)
    assert (tmp_path / "validation.npz").read_bytes() == rows


def test_the_forest_does_well_on_rows_it_never_saw(tmp_path: Path) -> None:
    steps: list[Progress] = []
    (forest,) = train(tmp_path, ["forest"], steps.append)
    assert forest.accuracy >= 0.95
    assert forest.log_loss < 0.5
    assert (forest.kind, forest.epochs) == ("onnx", None)
    assert steps == [Progress("forest", 0, 1, None)]


def test_a_training_that_fails_leaves_no_member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(_forest: object, path: Path, **_shape: object) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(module, "save_forest", half)
    with pytest.raises(OSError, match="no space left"):
        train(tmp_path, ["forest"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test.npz", "test.parquet", "validation.npz"]


def test_figures_are_the_accuracy_and_the_mean_log_loss() -> None:
    scores = np.array([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]])
    accuracy, log_loss = figures(scores, np.array([0, 0, 1]))
    # log 2, log 4, and log 10**7 for the class that was ruled out.
    assert accuracy == pytest.approx(1 / 3)
    assert log_loss == pytest.approx((0.693147181 + 1.386294361 + 16.118095651) / 3)
