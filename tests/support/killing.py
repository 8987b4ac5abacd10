"""Scoring jobs in processes of their own, and ways to kill them and their workers (Linux)."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

STILL_RUNS = 600  # seconds; no job of these tests takes that long, however busy the machine


@contextmanager
def job(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`unisono score` with `arguments`, ended with the body if it still runs."""
    command = [sys.executable, "-m", "unisono", "score", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until `path` is there, or the process has ended."""
    while not path.exists():
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.002)
            return


def wait_for_a_worker(process: subprocess.Popen[str]) -> None:
    """Wait until the process has a worker, or has ended."""
    while not workers_of(process.pid):
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
            return


def wait_at_most(process: subprocess.Popen[str], seconds: float) -> None:
    """Let the process run so long."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def kill(process: int) -> None:
    """`kill -9`, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def workers_of(parent: int) -> list[int]:
    """The worker processes that `parent` spawned."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(status[1]) == parent and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return sorted(found)


def wait_until_gone(processes: Sequence[int]) -> bool:
    """Whether all of `processes`, which are nobody's children any more, end by themselves."""
    waiter = ["tail", *(f"--pid={process}" for process in processes[:1]), "-f", "/dev/null"]
    for process in processes:
        waiter[1] = f"--pid={process}"
        try:
            subprocess.run(waiter, timeout=STILL_RUNS, check=True)
        except subprocess.TimeoutExpired:
            return False
    return True
