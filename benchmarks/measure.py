"""How things are timed here, and what is said about the machine beside every figure."""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LIBRARIES = ("numpy", "onnxruntime", "grpcio", "protobuf")


@dataclass(frozen=True)
class Timing:
    """Seconds: the median of the repeats, the fastest and slowest, and the processor's time for one."""

    median: float
    fastest: float
    slowest: float
    cpu: float

    def to_json(self) -> dict[str, float]:
        """Return the form that is written."""
        return asdict(self)


def interleaved(
    works: Mapping[str, Callable[[], object]], *, repeats: int, least_secs: float = 0.02
) -> dict[str, Timing]:
    """Time each of `works` in turn, `repeats` times, so that a busy moment falls on all of them alike.

    One repeat runs a work as often as fits `least_secs`; figures are for one run of it.
    """
    walls: dict[str, list[float]] = {name: [] for name in works}
    cpus: dict[str, list[float]] = {name: [] for name in works}
    loops = {name: _loops(work, least_secs) for name, work in works.items()}
    for _ in range(repeats):
        for name, work in works.items():
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(loops[name]):
                work()
            cpus[name].append((time.process_time() - cpu) / loops[name])
            walls[name].append((time.perf_counter() - wall) / loops[name])
    return {
        name: Timing(statistics.median(wall), min(wall), max(wall), statistics.median(cpus[name]))
        for name, wall in walls.items()
    }


def sgemm_peak() -> float:
    """Return what numpy's matrix product reaches here on all cores, in GFLOP/s."""
    import numpy as np  # noqa: PLC0415 - after threads are set, by whoever sets them

    size = 2048
    matrix = np.random.default_rng(0).random((size, size), np.float32)
    timing = interleaved({"sgemm": lambda: matrix @ matrix}, repeats=7)["sgemm"]
    return float(2 * size**3 / timing.fastest / 1e9)


def machine() -> dict[str, Any]:
    """Say what was measured on: figures without it mean nothing."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "commit": _git("rev-parse", "--short", "HEAD")
        + ("+changes" if _git("status", "--porcelain") else ""),
        "command": " ".join(["python", *sys.argv]),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def described(facts: Mapping[str, Any]) -> str:
    """Put `machine` in words, with the load that others put on it."""
    libraries = ", ".join(f"{name} {number}" for name, number in facts["libraries"].items())
    return (
        f"`{facts['command']}` at {facts['commit']}, {facts['at']}: {facts['cores']} cores of "
        f"{facts['cpu']}, shared; load average {facts['load_before']} when it began. "
        f"Python {facts['python']}, {libraries}. Only ratios within one run count."
    )


def _loops(work: Callable[[], object], least_secs: float) -> int:
    work()
    began = time.perf_counter()
    work()
    return max(1, round(least_secs / max(time.perf_counter() - began, 1e-6)))


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, cwd=ROOT)  # noqa: S607 - git is where it is
    return done.stdout.strip()
