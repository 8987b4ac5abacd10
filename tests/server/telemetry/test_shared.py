import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from server.telemetry.shared import FOLDER_VARIABLE, registry_of

COUNTS_TO_TWO = """
from prometheus_client import CollectorRegistry, Counter, Gauge
registry = CollectorRegistry()
Counter("calls", "Calls.", registry=registry).inc(2)
Gauge("rows", "Rows.", registry=registry, multiprocess_mode="livesum").set(3)
"""


def counted_by_a_process(folder: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", COUNTS_TO_TWO], env=os.environ | {FOLDER_VARIABLE: str(folder)}, check=True
    )


def lines_of(folder: Path) -> list[str]:
    registry, _ = registry_of(folder)
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def test_what_two_processes_counted_is_added_up(tmp_path: Path) -> None:
    counted_by_a_process(tmp_path)
    counted_by_a_process(tmp_path)
    assert lines_of(tmp_path) == ["calls_total 4.0", "rows 6.0"]


def test_a_process_that_has_made_its_file_and_written_nothing_yet_does_not_fail_the_others(
    tmp_path: Path,
) -> None:
    counted_by_a_process(tmp_path)
    (tmp_path / "counter_1.db").touch()
    (tmp_path / "gauge_livesum_1.db").write_bytes(bytes(1 << 16))
    assert lines_of(tmp_path) == ["calls_total 2.0", "rows 3.0"]


def test_a_file_that_goes_while_the_folder_is_read_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted_by_a_process(tmp_path)
    listed = Path.glob

    def with_one_that_has_gone(folder: Path, pattern: str) -> list[Path]:
        return [*listed(folder, pattern), folder / "gauge_livesum_1.db"]

    monkeypatch.setattr(Path, "glob", with_one_that_has_gone)
    assert lines_of(tmp_path) == ["calls_total 2.0", "rows 3.0"]
