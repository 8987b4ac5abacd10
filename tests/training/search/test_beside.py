from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import InvalidDataError
from model_store.store import Store
from tests.support.flowers import NAME, publish_uniform, write_rows
from training.data.parts import Data, Part
from training.search.beside import CurrentEnsemble
from training.search.config import Beside

ROWS = 1000


def world() -> tuple[Data, dict[str, np.ndarray]]:
    """Rows of two classes; `best` is good, `other` worse, and wrong elsewhere."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, ROWS)
    sure = {"best": random.random(ROWS) < 0.9, "other": random.random(ROWS) < 0.85}
    scores = {}
    for name, right in sure.items():
        true = np.where(right, 0.9, 0.2)
        scores[name] = np.where(np.eye(2)[labels] > 0, true[:, None], 1 - true[:, None])
    part = Part({"x": np.zeros((ROWS, 1), np.float32)}, labels)
    return Data(part, part, part, ("no", "yes")), scores


def test_a_different_worse_model_is_worth_more_than_a_copy_of_the_best(tmp_path: Path) -> None:
    data, scores = world()
    np.savez(tmp_path / "best.npz", scores=scores["best"], label=np.asarray(data.validation.label))
    current = CurrentEnsemble.open(Beside(predictions=tmp_path), data, tmp_path / "validation.npz")
    copy, other = (current.worth("trial", scores[name]) for name in ("best", "other"))
    assert copy["held_out_gain"] == pytest.approx(0, abs=1e-9)
    assert copy["first_order_gain"] == pytest.approx(0, abs=1e-9)
    assert other["held_out_gain"] > 2 * other["held_out_gain_error"] > 0
    # The loss can't fall by more on the rows that weights are fitted on; the others are much like them.
    assert other["first_order_gain"] > other["held_out_gain"]


def test_predictions_of_other_rows_are_refused(tmp_path: Path) -> None:
    data, scores = world()
    np.savez(tmp_path / "best.npz", scores=scores["best"], label=1 - np.asarray(data.validation.label))
    with pytest.raises(InvalidDataError, match="of other rows than this search's validation rows"):
        CurrentEnsemble.open(Beside(predictions=tmp_path), data, tmp_path / "validation.npz")
    part = Part({"x": np.zeros((3, 1), np.float32)}, value=np.zeros(3, np.float32))
    with pytest.raises(InvalidDataError, match="told from classes, and these rows have none"):
        CurrentEnsemble.open(Beside(predictions=tmp_path), Data(part, part, part, ()), tmp_path / "x.npz")


def test_the_members_of_a_published_ensemble_are_asked(tmp_path: Path) -> None:
    publish_uniform(Store.open(str(tmp_path / "store")), tmp_path)
    write_rows(tmp_path / "rows.npz")
    with np.load(tmp_path / "rows.npz") as rows:
        arrays = dict(rows)
    labels = arrays.pop("y")
    np.savez(tmp_path / "validation.npz", **arrays, label=labels)
    part = Part(arrays, labels)
    beside = Beside(str(tmp_path / "store"), NAME)
    current = CurrentEnsemble.open(beside, Data(part, part, part, ()), tmp_path / "validation.npz")
    assert current.start.sum() == pytest.approx(1)
    truth = np.eye(current.sample.classes)[labels]
    assert current.worth("oracle", 0.01 + 0.97 * truth)["held_out_gain"] > 0.01
