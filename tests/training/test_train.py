import json
from pathlib import Path

import numpy as np
import pytest

from training import estimators
from training.config import DataConfig, MemberConfig, TrainConfig, TrainConfigError
from training.data.parts import Part
from training.make import figures
from training.progress import Progress
from training.train import TrainOptions, capped, choose, load, train

FOREST = TrainOptions(("forest",))
# As the demo's forest, but for how many trees it has.
FIVE_TREES = TrainConfig(
    DataConfig(),
    (MemberConfig("forest", "random-forest", {"trees": 5}), MemberConfig("bndense", "bndense")),
)


def test_a_member_is_made_once(tmp_path: Path) -> None:
    (first,) = train(tmp_path, FIVE_TREES, options=FOREST)
    made = (tmp_path / "forest.onnx").stat()
    (second,) = train(tmp_path, FIVE_TREES, options=FOREST)
    kept = (tmp_path / "forest.onnx").stat()
    assert (first.reused, second.reused) == (False, True)
    assert (made.st_ino, made.st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)
    assert first.sha256 == second.sha256
    assert first.figures == second.figures


def test_a_member_whose_file_was_cut_off_is_made_again(tmp_path: Path) -> None:
    (first,) = train(tmp_path, FIVE_TREES, options=FOREST)
    file = tmp_path / "forest.onnx"
    whole = file.read_bytes()
    file.write_bytes(whole[:1000])
    (second,) = train(tmp_path, FIVE_TREES, options=FOREST)
    assert (second.reused, second.sha256) == (False, first.sha256)
    assert file.read_bytes() == whole


@pytest.mark.parametrize("receipt", ["", "{", "[]", '{"made_by": {}, "trained": {"name": "forest"}}'])
def test_a_member_without_a_readable_receipt_is_made_again(tmp_path: Path, receipt: str) -> None:
    train(tmp_path, FIVE_TREES, options=FOREST)
    whole = (tmp_path / "forest.json").read_bytes()
    (tmp_path / "forest.json").write_text(receipt)
    (again,) = train(tmp_path, FIVE_TREES, options=FOREST)
    assert again.reused is False
    assert json.loads((tmp_path / "forest.json").read_bytes())["made_by"] == json.loads(whole)["made_by"]


def test_another_seed_makes_another_member_on_the_same_rows(tmp_path: Path) -> None:
    (first,) = train(tmp_path, FIVE_TREES, options=TrainOptions(("forest",), seed=0))
    rows = (tmp_path / "validation.npz").read_bytes()
    (second,) = train(tmp_path, FIVE_TREES, options=TrainOptions(("forest",), seed=1))
    assert (second.reused, second.sha256 == first.sha256) == (False, False)
    assert (tmp_path / "validation.npz").read_bytes() == rows


def test_the_forest_does_well_on_rows_it_never_saw(tmp_path: Path) -> None:
    steps: list[Progress] = []
    (forest,) = train(tmp_path, on_progress=steps.append, options=FOREST)
    assert forest.figures["accuracy"] >= 0.95
    assert forest.figures["log_loss"] < 0.5
    assert (forest.kind, forest.epochs) == ("onnx", None)
    assert steps == [Progress("forest", 0, 1, None)]


def test_a_training_that_fails_leaves_no_member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(_forest: object, path: Path, _rows: object) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(estimators, "save", half)
    with pytest.raises(OSError, match="no space left"):
        train(tmp_path, FIVE_TREES, options=FOREST)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test.npz", "test.parquet", "validation.npz"]


def test_figures_are_the_accuracy_and_the_mean_log_loss_of_classes() -> None:
    scores = np.array([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]])
    found = figures({"scores": scores}, Part({"x": scores}, np.array([0, 0, 1])))
    # log 2, log 4, and log 10**7 for the class that was ruled out.
    assert found["accuracy"] == pytest.approx(1 / 3)
    assert found["log_loss"] == pytest.approx((0.693147181 + 1.386294361 + 16.118095651) / 3)


def test_a_value_is_judged_by_its_squared_error() -> None:
    rows = Part({"x": np.ones((2, 1), np.float32)}, value=np.array([1.0, 3.0], np.float32))
    assert figures({"value": np.array([[2.0], [5.0]])}, rows) == {"squared_error": 2.5}


def test_members_come_once_each_in_the_order_of_the_configuration() -> None:
    members = [MemberConfig(name, "bndense") for name in ("a", "b", "c")]
    assert [member.name for member in choose(members, ["c", "a", "c"])] == ["a", "c"]
    assert choose(members, []) == members
    with pytest.raises(TrainConfigError, match=r"no member is called \['oak'\]; there are a, b, c"):
        choose(members, ["oak"])


def test_a_cap_lowers_epochs_and_never_raises_them() -> None:
    member = MemberConfig("a", "bndense")
    assert capped(member, 2).fit.epochs == 2
    assert capped(member, 1000) == member == capped(member, None)


def test_digits_can_have_a_profile_and_ink_beside_the_image() -> None:
    data = load(DataConfig(profile=True, ink=True))
    for part in (data.train, data.validation, data.test):
        assert part.inputs["profile"].shape == (part.rows, 16)
        assert part.value is not None


def test_an_unknown_source_is_named_with_those_there_are() -> None:
    with pytest.raises(
        TrainConfigError, match="source is 'cifar'; it is one of digits, mnist5k, breast_cancer"
    ):
        load(DataConfig("cifar"))
