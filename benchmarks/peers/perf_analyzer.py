"""NVIDIA's own load generator, as a second witness for the systems that speak its protocol."""

import csv
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from peers.loads import LoadError

ENVIRONMENT = Path(__file__).parents[2] / ".venv-perf"
# Its windows: long enough for some answers of the slowest; a second one that differs is no reason to go on.
BRIEFLY = (
    "--input-data",
    "zero",
    "--measurement-interval",
    "800",
    "--max-trials",
    "3",
    "--stability-percentage",
    "500",
)
TIMEOUT_SECS = 120


@dataclass(frozen=True)
class Witness:
    """What perf_analyzer measured; latencies in ms."""

    rows_per_sec: float
    p50: float
    p95: float
    p99: float


def analyze(address: str, ensemble: str, concurrency: int, folder: Path) -> Witness:
    """Ask for one row at a time from `concurrency` callers; LoadError says why it couldn't."""
    program, libraries = ENVIRONMENT / "bin" / "perf_analyzer", ENVIRONMENT.glob("usr/lib/*")
    if not program.exists():
        raise LoadError("no perf_analyzer: `make install` makes it, on Linux on x86-64")
    cuda = ENVIRONMENT.glob("lib/python*/site-packages/nvidia/cuda_runtime/lib")
    file = folder / "perf_analyzer.csv"
    file.unlink(missing_ok=True)
    command = [str(program), "-i", "grpc", "-u", address, "-m", ensemble, "-f", str(file), *BRIEFLY]
    done = subprocess.run(
        [*command, "--concurrency-range", str(concurrency)],
        env=os.environ | {"LD_LIBRARY_PATH": ":".join(map(str, [*cuda, *libraries]))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=TIMEOUT_SECS,
    )
    if done.returncode or not file.exists():
        raise LoadError(_reason(done.stdout))
    with file.open() as lines:
        row = next(csv.DictReader(lines))
    p50, p95, p99 = (float(row[f"p{part} latency"]) / 1e3 for part in (50, 95, 99))
    return Witness(float(row["Inferences/Second"]), p50, p95, p99)


def _reason(printed: str) -> str:
    lines = [line for line in printed.strip().splitlines() if "rror" in line or "ailed" in line]
    return (lines or printed.strip().splitlines() or ["it printed nothing"])[-1][:200]
