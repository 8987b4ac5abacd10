"""Rows a second of `unisono score`, against the best that one process reaches on the same rows in memory.

    python benchmarks/batch.py [--ensembles images heavy tabular] [--repeats 3]

The job is the whole command: start, load, read, score, write, sync. Memory is the most that the command held,
with its workers, for ten thousand rows and for a million.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from ensembles import benchmark_store
from measure import described, machine
from results import save, table

from ensemble.loading.load import load_servable
from ensemble.member import Rows, row_count
from ensemble.runtimes.sample import random_rows
from model_store.store import Store

ROWS = {"images": 20_000, "heavy": 3000, "tabular": 1_000_000}
FEW, MANY = 10_000, 1_000_000
BATCHES = (16, 64, 256)
BEST = "in process, best batch"
# A child counts the memory of who started it, until it is another program: so somebody small starts it.
TIMED = """
import resource, subprocess, sys, time
began = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss)
"""
WAYS: Mapping[str, tuple[str, ...]] = {
    "inline": (),
    "1 process": ("--executor", "process", "--workers", "1"),
    "2 processes": ("--executor", "process", "--workers", "2"),
}


@dataclass(frozen=True)
class Run:
    """One job: seconds of the whole command, the processor's, and the most MiB its largest process held."""

    seconds: float
    cpu: float
    mebibytes: float = 0.0


def in_process(store: Store, name: str, rows: Rows, batch: int) -> Run:
    """Return what scoring `rows` from memory takes, with the models loaded."""
    servable = load_servable(store, name)
    count = row_count(rows)
    servable.score({key: array[:batch] for key, array in rows.items()})
    began, cpu = time.perf_counter(), time.process_time()
    for start in range(0, count, batch):
        servable.score({key: array[start : start + batch] for key, array in rows.items()})
    return Run(time.perf_counter() - began, time.process_time() - cpu)


def job(store: Store, name: str, file: Path, options: tuple[str, ...]) -> Run:
    """Run `unisono score` on `file`."""
    output = file.with_suffix(".out")
    shutil.rmtree(output, ignore_errors=True)
    command = [sys.executable, "-m", "unisono", "score", name, "--input", str(file), "--output", str(output)]
    command = [sys.executable, "-c", TIMED, *command, "--store", store.address, *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds, cpu, kibibytes = (float(figure) for figure in done.stdout.split())
    return Run(seconds, cpu, kibibytes / 1024)


def measured(store: Store, name: str, folder: Path, repeats: int, count: int) -> dict[str, Any]:
    """Time one ensemble; the ways take turns."""
    rows = random_rows(store_signature(store, name), count)
    file = folder / f"{name}.npz"
    np.savez(file, **rows)  # type: ignore[arg-type]
    best: list[Run] = []
    jobs: dict[str, list[Run]] = {way: [] for way in WAYS}
    for _ in range(repeats):
        found = [in_process(store, name, rows, batch) for batch in BATCHES]
        best.append(min(found, key=lambda run: run.seconds))
        for way, options in WAYS.items():
            jobs[way].append(job(store, name, file, options))
    file.unlink()
    all_runs = {BEST: best, **jobs}
    return {
        "rows": count,
        "wall": {way: count / median(run.seconds for run in runs) for way, runs in all_runs.items()},
        "cpu": {way: count / median(run.cpu for run in runs) for way, runs in all_runs.items()},
    }


def memory(store: Store, folder: Path) -> dict[str, float]:
    """Return the most MiB that a job of few and of many rows holds."""
    held = {}
    for count in (FEW, MANY):
        file = folder / f"memory{count}.npz"
        np.savez(file, **random_rows(store_signature(store, "tabular"), count))  # type: ignore[arg-type]
        held[f"{count:,} rows"] = job(store, "tabular", file, ()).mebibytes
        file.unlink()
    return held


def store_signature(store: Store, name: str) -> Any:
    """The signature of the current version."""
    return load_servable(store, name).signature


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ensembles", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--share", type=float, default=1.0, help="of the rows, for a quick look")
    given = parser.parse_args()
    facts, store = machine(), Store.open(str(benchmark_store()))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = {
            one: measured(store, one, folder, given.repeats, int(ROWS[one] * given.share))
            for one in given.ensembles
        }
        held = memory(store, folder)
    lines = []
    for one, found in figures.items():
        for kind, rates in (("second", found["wall"]), ("second of processor", found["cpu"])):
            cells = [f"{rates[way]:,.0f} ({rates[way] / rates[BEST]:.2f})" for way in WAYS]
            lines.append([one, f"{found['rows']:,}", kind, f"{rates[BEST]:,.0f}", *cells])
    header = ["ensemble", "rows", "rows a", BEST, *(f"{way} (of best)" for way in WAYS)]
    told = ", ".join(f"{mebibytes:,.0f} MiB for {rows}" for rows, mebibytes in held.items())
    text = (
        f"# Batch scoring\n\n{described(facts)}\n\n{table(header, lines)}\n\nMost memory (tabular): {told}.\n"
    )
    save("batch", {"machine": facts, "rows_per_second": figures, "mebibytes": held}, text)


if __name__ == "__main__":
    main()
