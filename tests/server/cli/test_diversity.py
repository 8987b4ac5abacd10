import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble.errors import InvalidRequestError
from model_store.store import Store
from server.cli.main import application
from tests.support.flowers import NAME, publish_uniform, write_rows


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
