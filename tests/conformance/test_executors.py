"""Every executor does every item, tells errors as they are, and outlives its workers."""

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ensemble.errors import InvalidDataError, MemberError
from ensemble.executors.executor import Executor, Report, Result, Task
from ensemble.executors.inline import InlineExecutor
from ensemble.executors.process import ProcessExecutor
from tests.support.work import Squares

EXECUTORS: dict[str, Callable[[], Executor]] = {
    "inline": lambda: InlineExecutor(threads=2),
    "one process": lambda: ProcessExecutor(1, threads=2),
    "two processes": lambda: ProcessExecutor(2, threads=2),
}
every_executor = pytest.mark.parametrize(
    "executor", [make() for make in EXECUTORS.values()], ids=[*EXECUTORS]
)


@pytest.fixture
def squares(tmp_path: Path) -> Squares:
    return Squares(tmp_path)


def results(executor: Executor, work: Squares, count: int = 7) -> list[Result]:
    found = list(executor.run(work, range(count), lambda *_: None))
    assert multiprocessing.active_children() == []
    return sorted(found, key=lambda result: int(result["item"]))


@every_executor
def test_every_item_is_done_once(executor: Executor, squares: Squares) -> None:
    found = results(executor, squares)
    assert [result["square"] for result in found] == [0, 1, 4, 9, 16, 25, 36]
    assert {result["threads"] for result in found} == {2}


@every_executor
def test_nothing_to_do_is_done_at_once(executor: Executor, squares: Squares) -> None:
    assert results(executor, squares, 0) == []


@every_executor
def test_progress_is_told_item_by_item(executor: Executor, squares: Squares) -> None:
    told: list[tuple[int, int]] = []
    list(executor.run(squares, range(3), lambda item, rows: told.append((item, rows))))
    assert sorted(told) == [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)]


@every_executor
def test_an_error_of_the_work_is_raised_as_it_is(executor: Executor, squares: Squares) -> None:
    with pytest.raises(InvalidDataError, match="item 3 is bad") as raised:
        results(executor, Squares(squares.deaths, broken=3))
    assert raised.value.code == "invalid"
    assert multiprocessing.active_children() == []


@every_executor
def test_a_start_that_fails_is_told(executor: Executor, squares: Squares) -> None:
    with pytest.raises(InvalidDataError, match="the store is not there"):
        results(executor, Squares(squares.deaths, unstartable=True))


@every_executor
def test_whoever_stops_listening_ends_all(executor: Executor, squares: Squares) -> None:
    running = executor.run(squares, range(7), lambda *_: None)
    next(running)
    running.close()  # type: ignore[attr-defined]
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("count", [1, 2])
def test_a_worker_that_is_killed_is_replaced_and_its_item_done_again(count: int, squares: Squares) -> None:
    squares.kill_at(2, times=2)
    squares.kill_at(5, times=1)
    found = results(ProcessExecutor(count), squares)
    assert [result["square"] for result in found] == [0, 1, 4, 9, 16, 25, 36]
    assert os.getpid() not in {result["process"] for result in found}


def test_an_item_that_kills_every_worker_fails_the_job(squares: Squares) -> None:
    squares.kill_at(2, times=9)
    with pytest.raises(MemberError, match=r"died 3 times while working on part 2 \(exit code -9\).*memory"):
        results(ProcessExecutor(2), squares)
    assert multiprocessing.active_children() == []


def test_an_error_that_is_not_ours_comes_with_its_traceback(squares: Squares) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError: by zero"):
        results(ProcessExecutor(1), Squares(squares.deaths, broken=0, foreign=True))


def test_the_cores_are_shared_out(squares: Squares, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert {result["threads"] for result in results(ProcessExecutor(2), squares)} == {2}


def test_a_crew_of_nobody_is_refused() -> None:
    with pytest.raises(InvalidDataError, match="workers must be >= 1; got 0"):
        ProcessExecutor(0)


def test_whoever_replaces_a_worker_gets_its_gpu(squares: Squares) -> None:
    squares.kill_at(2, times=2)
    found = results(ProcessExecutor(1, gpus=("GPU-a", "3")), squares)
    assert len({result["process"] for result in found}) == 2
    assert {result["gpu"] for result in found} == {"GPU-a"}


@dataclass(frozen=True)
class Meeting:
    """An item is done once all workers have one."""

    folder: Path
    workers: int

    def start(self, threads: int) -> Task:  # noqa: ARG002 - as many as there are
        def task(item: int, report: Report) -> Result:  # noqa: ARG001 - nothing on the way
            (self.folder / str(item)).touch()
            while len(list(self.folder.iterdir())) < self.workers:
                os.sched_yield()
            return {"item": item, "gpu": os.environ["CUDA_VISIBLE_DEVICES"]}

        return task


def test_workers_share_the_gpus_evenly(tmp_path: Path) -> None:
    found = ProcessExecutor(3, gpus=("0", "1")).run(Meeting(tmp_path, 3), range(3), lambda *_: None)
    assert sorted(result["gpu"] for result in found) == ["0", "0", "1"]


def test_without_gpus_a_process_sees_what_there_is(squares: Squares, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    assert {result["gpu"] for result in results(ProcessExecutor(1), squares)} == {"7"}
