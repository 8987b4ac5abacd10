"""Measurements are made once on a machine."""

import json
import multiprocessing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ensemble.runtimes import measurements as measurements_module
from ensemble.runtimes.measurements import Measurements, cache_folder, cores, machine, release, thread_counts


@dataclass(frozen=True)
class Number:
    value: int

    def to_json(self) -> dict[str, Any]:
        return {"value": self.value}


def read(data: Any) -> Number:
    return Number(int(data["value"]))


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> Number:
        self.count += 1
        return Number(self.count)


def test_a_measurement_is_kept_for_the_next_process(tmp_path: Path) -> None:
    count = Counter()

    assert Measurements(tmp_path / "kept").measured(["a"], count, read) == Number(1)
    assert Measurements(tmp_path / "kept").measured(["a"], count, read) == Number(1)
    assert Measurements(tmp_path / "kept").measured(["a", "b"], count, read) == Number(2)


def test_without_a_folder_it_is_kept_as_long_as_the_object() -> None:
    count, measurements = Counter(), Measurements(None)

    assert [measurements.measured(["a"], count, read) for _ in range(2)] == [Number(1)] * 2
    assert Measurements(None).measured(["a"], count, read) == Number(2)


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"value": "many"}', "{}"])
def test_what_cannot_be_read_is_measured_again(tmp_path: Path, text: str) -> None:
    count = Counter()
    Measurements(tmp_path).measured(["a"], count, read)
    [kept] = tmp_path.glob("*.json")
    kept.write_text(text)

    assert Measurements(tmp_path).measured(["a"], count, read) == Number(2)
    assert json.loads(kept.read_text()) == {"value": 2}


def test_a_folder_that_cannot_be_written_to_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert Measurements(tmp_path / "file").measured(["a"], Counter(), read) == Number(1)


def test_an_error_of_what_measures_is_raised_and_nothing_is_kept(tmp_path: Path) -> None:
    def fail() -> Number:
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        Measurements(tmp_path).measured(["a"], fail, read)
    assert list(tmp_path.glob("*.json")) == []


def test_another_machine_measures_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = Counter()
    Measurements(tmp_path).measured(["a"], count, read)
    monkeypatch.setattr(measurements_module, "machine", lambda: ["another"])

    assert Measurements(tmp_path).measured(["a"], count, read) == Number(2)


def _measure(folder: Path, started: Any, log: Path) -> None:
    def measure() -> Number:
        with log.open("a") as file:
            file.write("measured\n")
        return Number(7)

    started.wait()
    assert Measurements(folder).measured(["a"], measure, read) == Number(7)


def test_of_processes_that_start_together_one_measures(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(3)
    processes = [
        context.Process(target=_measure, args=(tmp_path / "kept", together, tmp_path / "log"))
        for _ in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert (tmp_path / "log").read_text() == "measured\n"


def test_the_machine_is_its_kind_its_processor_and_its_cores() -> None:
    assert machine()[-1] == str(cores())
    assert all(machine())


def test_without_a_wish_one_a_core_and_one_thread_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements_module, "cores", lambda: 4)
    assert (thread_counts(0), thread_counts(3), thread_counts(1)) == ([4, 1], [3], [1])
    monkeypatch.setattr(measurements_module, "cores", lambda: 1)
    assert thread_counts(0) == [1]


def test_a_package_that_is_not_installed_has_no_release() -> None:
    assert release("no-such-package") == "no-such-package unknown"
    assert release("onnxruntime").split()[1][0].isdigit()


def test_measurements_are_kept_where_the_user_keeps_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")

    assert cache_folder() == Path("/caches/unisono/runtimes")


def test_who_has_no_home_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", fail)

    assert cache_folder() is None
