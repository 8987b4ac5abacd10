import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import training.train
from server.cli.main import application
from tests.support.small_members import FILES
from training.config import TrainConfig, shipped
from training.progress import OnProgress, Progress
from training.receipts import Trained
from training.train import TrainOptions


def train(*arguments: str) -> int:
    code: int = application()(["train", *arguments])
    return code


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [re.sub(r" +", " ", line).strip() for line in capsys.readouterr().out.splitlines()]


def test_a_member_is_made_and_shown_in_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--output", str(tmp_path / "members"), "--members", "forest") == 0
    captured = capsys.readouterr()
    assert "training forest: 0 of 1 epochs\n" in captured.err
    header, _, row = captured.out.strip().splitlines()[:3]
    assert re.sub(r" +", " ", header).strip() == "member kind parameters epochs seconds accuracy log-loss"
    assert re.fullmatch(
        r"forest onnx [\d,]+ - \d+\.\d 0\.9\d{3} 0\.\d{4} new", re.sub(r" +", " ", row).strip()
    )
    made = {path.name for path in (tmp_path / "members").iterdir()}
    assert (
        made
        == {"forest.json", "forest.onnx", "test.npz", "test.parquet", "validation.npz"}
        <= {
            *FILES,
            "forest.json",
        }
    )


def test_a_second_run_keeps_the_member(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train("--output", str(tmp_path), "--members", "forest")
    first = shown(capsys)
    train("--output", str(tmp_path), "--members", "forest")
    second = shown(capsys)
    (new,) = [line for line in first if line.startswith("forest")]
    (kept,) = [line for line in second if line.startswith("forest")]
    assert kept == new.removesuffix("new") + "kept"


def test_an_output_that_is_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert train("--output", str(tmp_path / "file")) == 1
    assert f"error: can't write members to {tmp_path / 'file'}: " in capsys.readouterr().err


def test_without_the_extra_the_way_out_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'keras'")

    monkeypatch.setattr(training.train, "train", missing)
    assert train("--output", str(tmp_path)) == 1
    assert "pip install 'unisono[training]' (No module named 'keras')" in capsys.readouterr().err


def test_progress_comes_as_json_and_as_a_file_for_prometheus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [Progress("bndense", 0, 24, None), Progress("bndense", 1, 24, 0.25), Progress("cnn", 3, 5, 0.5)]

    def fake(_folder: Path, _config: TrainConfig, on_progress: OnProgress, _: TrainOptions) -> list[Trained]:
        for step in steps:
            on_progress(step)
        return []

    monkeypatch.setattr(training.train, "train", fake)
    file = tmp_path / "members.prom"
    assert train("--output", str(tmp_path), "--progress", "json", "--metrics-file", str(file)) == 0
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert told == [
        {
            "event": "training",
            "member": step.member,
            "epoch": step.epoch,
            "epochs": step.epochs,
            "loss": step.loss,
        }
        for step in steps
    ]
    kept = {
        (sample.name, sample.labels["member"]): sample.value
        for family in text_string_to_metric_families(file.read_text())
        for sample in family.samples
    }
    assert kept == {
        ("unisono_training_epoch", "bndense"): 1,
        ("unisono_training_epochs", "bndense"): 24,
        ("unisono_training_held_out_loss", "bndense"): 0.25,
        ("unisono_training_epoch", "cnn"): 3,
        ("unisono_training_epochs", "cnn"): 5,
        ("unisono_training_held_out_loss", "cnn"): 0.5,
    }


def test_names_and_seed_are_handed_on_and_losses_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fake(
        folder: Path, config: TrainConfig, on_progress: OnProgress, options: TrainOptions
    ) -> list[Trained]:
        assert (folder, options.names, options.seed) == (tmp_path, ("bndense", "forest"), 7)
        assert config == TrainConfig.read(shipped("digits"))
        on_progress(Progress("bndense", 0, 24, None))
        on_progress(Progress("bndense", 1, 24, 0.25))
        figures = {"accuracy": 0.98765, "log_loss": 0.04321}
        return [Trained("bndense", "keras", "bndense.keras", "ab", 11210, 24, 5.04, figures)]

    monkeypatch.setattr(training.train, "train", fake)
    assert train("--output", str(tmp_path), "--members", "bndense, forest", "--seed", "7") == 0
    assert "bndense keras 11,210 24 5.0 0.9877 0.0432 new" in shown(capsys)
