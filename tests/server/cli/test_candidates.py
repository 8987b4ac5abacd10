"""Models outside the ensemble: whatever `publish` is told of a member can be said of them too."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from ensemble.errors import InvalidModelError, InvalidRequestError
from model_store.store import Store
from server.cli.main import application
from tests.support.flowers import NAME, publish_uniform, write_rows
from tests.support.onnx_models import save_graph


@pytest.fixture(name="folder")
def fixture_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Flowers published, rows in val.npz, and what they are in a file of other names, shapes and outputs."""
    monkeypatch.setenv("UNISONO_STORE", str(tmp_path / "store"))
    publish_uniform(Store.open(str(tmp_path / "store")), tmp_path)
    write_rows(tmp_path / "val.npz")
    write_turned(tmp_path / "turned.onnx")
    return tmp_path


def write_turned(path: Path) -> None:
    """The member "fair" as another tool would write it: logits, last class first, of "petals" [3, 1]."""
    nodes = [
        helper.make_node("Reshape", ["petals", "flat"], ["row"]),
        helper.make_node("Gather", ["row", "order"], ["logits"], axis=1),
        helper.make_node("Neg", ["logits"], ["opposite"]),
    ]
    save_graph(
        path,
        nodes,
        inputs={"petals": ("rows", 3, 1)},
        outputs={"logits": ("rows", 3), "opposite": ("rows", 3)},
        parameters={"flat": np.array([-1, 3]), "order": np.array([2, 1, 0])},
    )


def said(name: str) -> list[str]:
    """All that has to be said of that file."""
    return [
        f"--member-input={name}=petals:x",
        f"--member-classes={name}=daisy,tulip,rose",
        f"--output-kind={name}=logits",
        f"--scores-output={name}=logits",
    ]


def run(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    capsys.readouterr()
    assert application()([*map(str, words), "-o", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_candidate_is_told_what_a_member_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("refit", NAME, "--data", folder / "val.npz", "--dry-run")

    told = run(capsys, *words, "--candidate", f"new={folder / 'turned.onnx'}", *said("new"))

    # It is "fair" in other clothes.
    assert told["newcomers"]["new"]["log_loss"] == pytest.approx(
        told["validation"]["losses"]["members"]["fair"], abs=1e-6
    )
    assert told["newcomers"]["new"]["gain"] == pytest.approx(0, abs=1e-6)
    assert Store.open(str(folder / "store")).current(NAME) == 1


def test_candidates_are_compared_with_the_members(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("diversity", NAME, "--data", folder / "val.npz")
    alone = run(capsys, *words)

    told = run(capsys, *words, "--candidate", f"new={folder / 'turned.onnx'}", *said("new"))

    assert [(line["name"], line["weight"]) for line in told["members"]] == [
        *((line["name"], line["weight"]) for line in alone["members"]),
        ("new", 0.0),
    ]
    assert len(told["pairs"]) == 6
    [twins] = [line for line in told["pairs"] if line["members"] == ["fair", "new"]]
    assert (twins["disagreement"], twins["error_correlation"]) == (0.0, pytest.approx(1.0))
    # What weighs nothing changes nothing.
    for loss, parts in alone["ambiguity"].items():
        assert told["ambiguity"][loss] == pytest.approx(parts)


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["--candidate=gbm"], "--candidate 'gbm' is not NAME=FILE"),
        (["--candidate=gbm=a.onnx", "--candidate=gbm=b.onnx"], "--candidate 'gbm=b.onnx' is named twice"),
        (["--member-input=gbm=a:b"], r"--member-input names \['gbm'\]; the candidates are \[\]"),
        (["--scores-output=gbm=a"], r"--scores-output names \['gbm'\]; the candidates are \[\]"),
        (["--output-kind=gbm=logits"], r"--output-kind names \['gbm'\]"),
        (["--member-classes=gbm=a,b"], r"--member-classes names \['gbm'\]"),
        (["--member-input=gbm=a"], "--member-input 'gbm=a' is not NAME=INPUT:ENSEMBLES"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_what_is_said_of_none_is_refused(folder: Path, words: list[str], wrong: str) -> None:
    for command in ("refit", "diversity"):
        with pytest.raises(InvalidModelError, match=wrong):
            application()([command, NAME, "--data", str(folder / "val.npz"), *words])


def test_an_input_that_the_ensemble_has_not_is_told_with_the_way_out(folder: Path) -> None:
    words = ["--candidate", f"new={folder / 'turned.onnx'}", *said("new")[1:]]

    with pytest.raises(
        InvalidModelError, match=r"takes \['petals'\]; the ensemble has \['x'\]: say which is"
    ):
        application()(["refit", NAME, "--data", str(folder / "val.npz"), "--dry-run", *words])


def test_captured_predictions_have_no_candidates(folder: Path) -> None:
    words = ["--predictions", str(folder), "--candidate", f"new={folder / 'turned.onnx'}"]

    with pytest.raises(InvalidRequestError, match="put its own predictions beside the others"):
        application()(["diversity", *words])
