import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble.errors import InvalidRequestError
from model_store.store import Store
from server.cli.main import application
from tests.support.flowers import CLASSES, NAME, SHARPNESS, publish_uniform, write_members, write_rows
from tests.support.onnx_models import write_constant


def diversity(*arguments: str) -> int:
    code: int = application()(["diversity", *arguments])
    return code


def test_the_members_of_an_ensemble_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(tmp_path / "store")
    publish_uniform(Store.open(store), tmp_path)
    write_rows(tmp_path / "rows.npz")
    asked = (NAME, "--data", str(tmp_path / "rows.npz"), "--store", store)
    assert diversity(*asked, "-o", "json") == 0
    told: Any = json.loads(capsys.readouterr().out)
    assert told["rows"] == 400
    assert [line["weight"] for line in told["members"]] == pytest.approx([1 / 3] * 3)
    assert len(told["pairs"]) == 3
    # Each member is sure of the same class, more or less.
    assert {(line["disagreement"], line["q_statistic"]) for line in told["pairs"]} == {(0.0, 1.0)}
    for parts in told["ambiguity"].values():
        assert parts["ensemble"] == pytest.approx(parts["members"] - parts["ambiguity"])
    assert diversity(*asked) == 0
    shown = capsys.readouterr().out
    assert "blunt + fair" in shown
    assert "= ensemble" in shown


def test_captured_predictions_will_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, sure in (("a", 0.75), ("b", 1.0)):
        np.savez(tmp_path / f"{name}.npz", scores=[[sure, 1 - sure], [sure, 1 - sure]], label=[0, 1])
    assert diversity("--predictions", str(tmp_path), "-o", "json") == 0
    first, second = json.loads(capsys.readouterr().out)["members"]
    assert first["log_loss"] == pytest.approx(-(np.log(0.75) + np.log(0.25)) / 2)
    assert second["log_loss"] is None


def test_one_of_the_two_ways_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="name an ensemble and --data, or --predictions alone"):
        diversity("flowers")
    with pytest.raises(InvalidRequestError, match="name an ensemble and --data, or --predictions alone"):
        diversity(NAME, "--data", "rows.npz", "--predictions", str(tmp_path))


def test_the_page_and_its_json_tell_what_the_table_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, random = np.arange(60) % 3, np.random.default_rng(0)
    for name in ("net", "<trees>", "line"):
        odds = np.exp(2 * np.eye(3)[truth] + random.normal(size=(60, 3)))
        scores = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
        np.savez(tmp_path / f"{name}.npz", scores=scores, label=truth)
    asked = ("--predictions", str(tmp_path), "-o", "json", "--report")
    assert diversity(*asked, str(tmp_path / "told.json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "told.json").read_text()) == told
    assert diversity(*asked, str(tmp_path / "page.html")) == 0
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") == 5
    assert "<trees>" not in page
    assert "&lt;trees&gt;" in page
    for line in told["members"]:
        # A member that adds nothing has a slope of 0 or less.
        assert max(line["first_order_gain"], 0.0) >= line["worth"] - 1e-12
        assert f">{line['log_loss']:.4f}<" in page
    for line in told["pairs"]:
        assert f">{line['loss_together']:.4f}<" in page
        # In both halves of its map.
        assert page.count(f">{line['error_correlation']:.2f}<") >= 2
    with pytest.raises(InvalidRequestError, match=r"name a file that ends in \.html or \.json"):
        diversity(*asked, str(tmp_path / "page.pdf"))


def test_model_files_are_compared_before_anything_is_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNISONO_STORE", str(tmp_path / "store"))
    files = write_members(tmp_path, SHARPNESS)
    rows = np.load(write_rows(tmp_path / "rows.npz"))
    np.savez(tmp_path / "named.npz", x=rows["x"], y=np.array(CLASSES)[rows["y"]])
    given = [f"--candidate={name}={file}" for name, file in files.items()]
    asked = ("--data", str(tmp_path / "named.npz"), *given, "-o", "json")
    assert diversity(*asked, "--classes", ",".join(CLASSES)) == 0
    alone = json.loads(capsys.readouterr().out)
    assert alone["name"] == "candidates"
    assert not (tmp_path / "store").exists()

    publish_uniform(Store.open(str(tmp_path / "store")), tmp_path)
    assert diversity(NAME, "--data", str(tmp_path / "rows.npz"), "-o", "json") == 0
    assert alone == json.loads(capsys.readouterr().out) | {"name": "candidates"}

    with pytest.raises(InvalidRequestError, match="one candidate differs from nothing: name another"):
        diversity("--data", str(tmp_path / "rows.npz"), given[0])
    with pytest.raises(InvalidRequestError, match="--classes are for candidates without an ensemble"):
        diversity(NAME, "--data", str(tmp_path / "rows.npz"), "--classes", "a,b,c")
    with pytest.raises(InvalidRequestError, match="name an ensemble and --data, or"):
        diversity(*given)


def test_values_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNISONO_STORE", str(tmp_path / "store"))
    write_constant(tmp_path / "five.onnx", [5.0])
    application()(["publish", "prices", f"--member=five={tmp_path / 'five.onnx'}"])
    with pytest.raises(InvalidRequestError, match="'prices' is of values"):
        diversity("prices", "--data", str(tmp_path / "rows.npz"))
