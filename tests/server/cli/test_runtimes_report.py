import json
from pathlib import Path
from typing import Any

import pytest

from ensemble.publishing.publish import PublishOptions, publish
from ensemble.runtimes.batch_size import BatchSize
from ensemble.runtimes.choice import Candidate, Choice, Plan
from ensemble.runtimes.measurements import cores
from ensemble.runtimes.merged import Merging
from ensemble.runtimes.opening import installed
from model_store.store import Store
from server.cli.main import application
from server.cli.runtimes_report import Found, print_found
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
    assert set(shown["members"]) == {"a", "b"}
    tried = {(runtime, threads) for runtime in installed() for threads in {1, cores()}}
    for choice in shown["members"].values():
        assert {(c["runtime"], c["threads"]) for c in choice["candidates"]} == tried
        assert (choice["runtime"], choice["threads"]) in tried
        assert set(choice["candidates"][0]["seconds"]) == {"1", "16"}
    kept = sorted((tmp_path / "cache" / "unisono" / "runtimes").glob("*.json"))
    assert len(kept) >= 2

    application()(command)
    assert json.loads(capsys.readouterr().out) == shown  # kept, not measured again
    assert sorted((tmp_path / "cache" / "unisono" / "runtimes").glob("*.json")) == kept


def test_what_serve_is_told_can_be_measured_too(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "elsewhere"
    words = ["--runtime", "onnxruntime", "--threads", "1", "--cache-dir", str(place)]
    assert application()(["inspect", "digits", "--runtimes", *words, "-o", "json", "--store", address]) == 0

    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [(c["runtime"], c["threads"]) for c in shown["members"].values()] == [("onnxruntime", 1)] * 2
    assert set(shown["merging"]["seconds"]) >= {"0", "1"}
    assert str(shown["max_batch_size"]["rows"]) in shown["max_batch_size"]["seconds"]
    assert len(list(place.glob("*.json"))) == 4


def test_the_table_says_which_is_chosen_how_fast_each_is_and_why_one_is_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    candidates = (
        Candidate(Plan("onnxruntime", 2), {1: 0.002, 16: 0.03}),
        Candidate(Plan("openvino", 2), {1: 0.001, 16: 0.01}, 3e-8),
        Candidate(Plan("other", 2), refused="not this one"),
    )
    merging = Merging(2, ("a", "b"), {0: {1: 0.004}, 2: {1: 0.003}})
    batch = BatchSize(16, {1: 0.002, 16: 0.01})
    print_found(Found({"sepconv": Choice(Plan("openvino", 2), {}, candidates)}, merging, batch))
    shown = " ".join(capsys.readouterr().out.replace("─", "").split())
    assert "member runtime threads 1 row, ms 16 rows, ms error" in shown
    assert "sepconv onnxruntime 2 2.000 30.000 0 sepconv openvino 2 1.000 10.000 3e-08 chosen" in shown
    assert "sepconv other 2 0 not this one" in shown
    assert "rows in a batch ms rows/s 1 2.000 500 16 10.000 1,600 chosen" in shown
    assert "one after another 4.000 one graph, threads: 2 3.000 chosen: a, b" in shown
