import json
from pathlib import Path
from typing import Any

import pytest

from ensemble.publishing.publish import PublishOptions, publish
from ensemble.runtimes.choice import Candidate, Choice, installed
from model_store.store import Store
from server.cli.main import application
from server.cli.runtimes_report import print_choices
from tests.support.onnx_models import write_linear


@pytest.fixture(name="address")
def fixture_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Ensemble "digits" of two linear members; decisions are kept under `tmp_path`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    store = Store.open(str(tmp_path / "store"))
    for seed, name in enumerate("ab"):
        write_linear(tmp_path / f"{name}.onnx", seed=seed)
    publish(store, "digits", {name: tmp_path / f"{name}.onnx" for name in "ab"}, PublishOptions())
    return store.address


def test_every_installed_runtime_is_timed_for_every_member_and_one_is_chosen(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["inspect", "digits", "--runtimes", "-o", "json", "--store", address]
    assert application()(command) == 0
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert set(shown) == {"a", "b"}
    for choice in shown.values():
        assert set(choice["candidates"]) == set(installed())
        assert choice["runtime"] in choice["candidates"]
        assert set(choice["candidates"]["onnxruntime"]["seconds"]) == {"1", "16"}
    assert len(list((tmp_path / "cache" / "unisono" / "runtimes").glob("*.json"))) == 2

    application()(command)
    assert json.loads(capsys.readouterr().out) == shown  # kept, not measured again


def test_the_table_says_which_is_chosen_how_fast_each_is_and_why_one_is_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    candidates = {
        "onnxruntime": Candidate({1: 0.002, 16: 0.03}),
        "openvino": Candidate({1: 0.001, 16: 0.01}, 3e-8),
        "other": Candidate(refused="not this one"),
    }
    print_choices({"sepconv": Choice("openvino", candidates)})
    shown = " ".join(capsys.readouterr().out.replace("─", "").split())
    assert "member runtime 1 row, ms 16 rows, ms error" in shown
    assert "sepconv onnxruntime 2.000 30.000 0 sepconv openvino 1.000 10.000 3e-08 chosen" in shown
    assert "sepconv other 0 not this one" in shown
