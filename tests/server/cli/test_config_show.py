"""What `unisono config show` tells, beside what `unisono serve` would take."""

import json
from pathlib import Path

import pytest

from server.cli.main import application
from server.config import ConfigError


def settings(capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, tuple[object, str]]:
    assert application()(["config", "show", "-o", "json", *flags]) == 0
    rows = json.loads(capsys.readouterr().out)["settings"]
    return {row["setting"]: (row["value"], row["from"]) for row in rows}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "of-the-team.toml"
    path.write_text('[serve]\nthreads = 3\nensemble = ["digits", "letters"]\ngrpc-port = 4\n')
    monkeypatch.setenv("UNISONO_CONFIG", str(path))
    return path


def test_each_setting_says_where_it_came_from(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNISONO_STORE", "file:///models")
    monkeypatch.setenv("UNISONO_SERVE_GRPC_PORT", "7")
    monkeypatch.setenv("UNISONO_SERVE_MAX_BATCH_SIZE", "8")
    told = settings(capsys, "--max-batch-size", "9", "--enable-reflection")
    assert told["--store"] == ("file:///models", "environment UNISONO_STORE")
    assert told["--threads"] == (3, str(file))
    assert told["--ensemble"] == (["digits", "letters"], str(file))
    assert told["--grpc-port"] == (7, "environment UNISONO_SERVE_GRPC_PORT")
    assert told["--max-batch-size"] == (9, "flag")
    assert told["--enable-reflection"] == (True, "flag")
    assert told["--host"] == ("127.0.0.1", "default")


def test_without_any_setting_all_are_defaults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UNISONO_STORE", raising=False)
    told = settings(capsys)
    assert {where for _, where in told.values()} == {"default"}
    assert told["--store"] == ("./store", "default")
    assert told["--tls-cert"] == (None, "default")


def test_the_table_reads_like_the_json(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    assert application()(["config", "show", "--drain-timeout-secs", "2.5"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "--drain-timeout-secs 2.5 flag" in lines
    assert "--host 127.0.0.1 default" in lines
    assert f"--ensemble digits, letters {file}" in lines


def test_settings_that_serve_would_refuse_are_refused_with_the_same_words() -> None:
    with pytest.raises(ConfigError, match="--max-batch-size is -1; it must be 0 or more"):
        application()(["config", "show", "--max-batch-size", "-1"], exit_on_error=False)
