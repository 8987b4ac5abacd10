"""One load on one system: what a load generator, or a process that asks itself, came to."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Answers in the first moments are left out: connections are made in them.
LEAD_SECS = 0.2
MORE_SECS = 60
OK = 200
# How far an answer's size may be from the checked one's: numbers in JSON have more or fewer digits, and
# refusals, in gRPC without a body, must be told from answers.
SIZES = (0.8, 1.25)


class LoadError(Exception):
    """A load that says nothing: answers that were none."""


@dataclass(frozen=True)
class Run:
    """What one load came to. Latencies in ms; `cpu_ms` is the system's user and system time for one row."""

    rows_per_sec: float
    p50: float
    p95: float
    p99: float
    cpu_ms: float


def h2load(
    url: str, flags: tuple[str, ...], body: Path, *, connections: int, seconds: float
) -> tuple[int, int, NDArray[np.float64]]:
    """Keep one request going on each of `connections`; LoadError if one was not answered with 200.

    Return how many were answered, the bytes of all bodies, and [answer, (end, latency)] in seconds.
    """
    log = body.with_suffix(".log")
    log.unlink(missing_ok=True)
    command = [shutil.which("h2load") or "h2load", "-c", str(connections), "-m", "1"]
    command += ["-D", f"{round(seconds * 1000)}ms", "-d", str(body), f"--log-file={log}", *flags, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + MORE_SECS, check=True)
    lines = np.loadtxt(log, dtype=np.float64, ndmin=2, usecols=(0, 1, 2)) if log.stat().st_size else None
    traffic = re.search(r"\((\d+)\) data", done.stdout)
    if lines is None or traffic is None:
        raise LoadError(f"h2load got no answer: {done.stdout[-300:]}")
    if (lines[:, 1] != OK).any():
        raise LoadError(f"answered {sorted(set(lines[:, 1].astype(int)) - {OK})}")
    ends = (lines[:, 0] + lines[:, 2]) / 1e6
    return len(lines), int(traffic[1]), np.stack([ends, lines[:, 2] / 1e6], axis=1)


def check_sizes(answered: int, data_bytes: int, expected: int) -> None:
    """Raise LoadError if answers aren't of the size that the checked answer had."""
    mean = data_bytes / answered
    if not SIZES[0] * expected <= mean <= SIZES[1] * expected:
        raise LoadError(f"answers of {mean:.0f} bytes where a right one has {expected}")


def summed_up(answers: NDArray[np.float64], rows_each: int, cpu_secs: float) -> Run:
    """Put answers, [answer, (end, latency)] in seconds, in figures; their first moments are left out."""
    ends, latencies = answers[:, 0], answers[:, 1]
    begin = (ends - latencies).min() + LEAD_SECS
    kept = ends > begin
    if kept.sum() < 2:  # noqa: PLR2004 - slower than a load is long: all there is must do
        begin, kept = begin - LEAD_SECS, ends > 0
    p50, p95, p99 = np.percentile(latencies[kept], [50, 95, 99]) * 1e3
    speed = kept.sum() * rows_each / (ends.max() - begin)
    return Run(float(speed), float(p50), float(p95), float(p99), cpu_secs * 1e3 / (len(ends) * rows_each))


def perf_analyzer_at(environment: Path) -> tuple[Path, dict[str, str]]:
    """Return NVIDIA's load generator and the variables that it needs to find its libraries."""
    folders = [*environment.glob("lib/python*/site-packages/nvidia/cuda_runtime/lib")]
    folders += environment.glob("usr/lib/*")
    libraries = {"LD_LIBRARY_PATH": ":".join(map(str, folders))}
    return environment / "bin" / "perf_analyzer", dict(os.environ) | libraries
