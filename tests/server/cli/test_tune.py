import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from server.cli.main import application
from tests.training.search.without_networks import CONFIG, linear

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(name="folder")
def fixture_folder(tmp_path: Path) -> Path:
    (tmp_path / "search.toml").write_text(CONFIG)
    return tmp_path


def tune(folder: Path, *more: str, output: str = "found") -> int:
    with linear():
        code: int = application()(
            ["tune", str(folder / "search.toml"), "--output", str(folder / output), *more]
        )
    return code


def test_the_best_are_shown_with_the_command_that_publishes_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(folder) == 0
    told = capsys.readouterr()
    lines = told.err.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"trial {number} of 5" for number in range(1, 6)]
    losses = [float(found) for found in re.findall(r"loss ([\d.]+)", told.err)]
    assert lines[-1].endswith(f"best {min(losses):.4f}")
    best, second, *_ = sorted(range(5), key=lambda trial: losses[trial])
    files = [f"trial-{number:04d}={folder}/found/trial-{number:04d}.keras" for number in (best, second)]
    assert told.out.splitlines()[-1] == f"unisono publish NAME --member {files[0]} --member {files[1]}"
    assert f"test rows, trial-{best:04d} alone: accuracy" in told.out
    assert (folder / "found/course.png").read_bytes().startswith(PNG)


def test_progress_comes_as_json_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tune(folder, "--progress", "json")
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(event["event"], event["trial"], event["trials"], event["of"]) for event in events] == [
        ("trial", number, number + 1, 5) for number in range(5)
    ]
    assert [event["best"] for event in events] == [
        min(event["loss"] for event in events[: number + 1]) for number in range(5)
    ]


def test_a_search_that_is_killed_finds_what_it_would_have(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def found(output: str) -> Any:
        tune(folder, "--progress", "none", output=output)
        place = folder / output
        kept = {path.name: path.read_text() for path in place.glob("*.keras")}
        return kept, capsys.readouterr().out.replace(f"/{output}/", "/"), (place / "test.json").read_text()

    whole = found("whole")
    child = [sys.executable, "-m", "tests.training.search.without_networks", str(folder), "2"]
    killed = subprocess.run(child, capture_output=True, text=True, check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    # Written, but in no study: it is done again.
    assert (folder / "found/trial-0002.keras").exists()
    assert found("found") == whole


def test_what_can_not_be_written_is_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "file").write_text("")
    assert tune(folder, output="file") == 1
    assert f"error: can't write to {folder / 'file'}" in capsys.readouterr().err
