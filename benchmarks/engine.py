"""Ways to run an ensemble's members, in one process: the most that a server can reach.

    python benchmarks/engine.py [--repeats 7] [--ensembles images tabular heavy]

Members one after another, side by side on threads, and merged into one graph, each on one thread and on one a
core; and with the fastest runtime for each; in batches of 1, 16 and 64 rows. All ways are timed in turn, so
that what else runs on the machine falls on all of them alike. Scores of all ways are compared with the first
one's before anything is timed.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from ensembles import ENSEMBLES, benchmark_store
from measure import Timing, described, interleaved, machine, sgemm_peak
from results import save, table

from ensemble.loading.load import Runtimes, load_servable, served_blob
from ensemble.member import Member, Rows, Scores
from ensemble.runtimes.measurements import Measurements, cache_folder
from ensemble.runtimes.merged import Merger
from ensemble.runtimes.onnx_merge import merge, output_name
from ensemble.runtimes.onnx_runtime import OnnxMember, open_session
from ensemble.runtimes.opening import AUTO, opener
from ensemble.runtimes.sample import random_rows
from ensemble.signature import Signature
from model_store.store import Store

SIZES = (1, 16, 64)
CORES = len(os.sched_getaffinity(0))
MOST_APART = 1e-6
Way = Callable[[Rows], Mapping[str, Scores]]


def ways(store: Store, name: str) -> dict[str, Way]:
    """Return each way to get all members' scores of rows."""
    made: dict[str, Way] = {}
    for threads in sorted({1, CORES}, reverse=True):
        members = _members(store, name, threads)
        made[f"one after another, {threads} threads"] = _in_turn(members)
        made[f"one graph, {threads} threads"] = _one_graph(store, name, threads)
        if threads == 1:
            made["side by side, 1 thread each"] = _side_by_side(members)
    made["as `serve --runtime auto` runs them"] = _as_served(store, name)
    return made


def _members(store: Store, name: str, threads: int) -> list[Member]:
    made: list[Member] = []
    for record in store.manifest(name).members:
        with tempfile.TemporaryDirectory() as work:
            path = Path(work) / record.name
            store.copy_blob(name, served_blob(record), path)
            made.append(
                OnnxMember.open(
                    path,
                    name=record.name,
                    digest=record.digest,
                    signature=Signature.from_json(record.signature),
                    threads=threads,
                )
            )
    return made


def _in_turn(members: list[Member]) -> Way:
    return lambda rows: {member.name: member.predict(rows) for member in members}


def _side_by_side(members: list[Member]) -> Way:
    threads = ThreadPoolExecutor(len(members))

    def run(rows: Rows) -> Mapping[str, Scores]:
        futures = {member.name: threads.submit(member.predict, rows) for member in members}
        return {name: future.result() for name, future in futures.items()}

    return run


def _one_graph(store: Store, name: str, threads: int) -> Way:
    records = store.manifest(name).members
    models = {record.name: store.read_blob(name, served_blob(record)) for record in records}
    outputs = {record.name: str(record.signature["outputs"][0]["name"]) for record in records}
    session = open_session(merge(models, outputs), name, threads)
    wanted = [output_name(member) for member in models]
    return lambda rows: dict(zip(models, session.run(wanted, dict(rows)), strict=True))


def _as_served(store: Store, name: str) -> Way:
    """Give each member the runtime that is fastest for it, and merge those of ONNX Runtime."""
    measurements = Measurements(cache_folder())
    runtimes = Runtimes(opener(AUTO, measurements), Merger(measurements))
    servable = load_servable(store, name, runtimes=runtimes)

    def run(rows: Rows) -> Mapping[str, Scores]:
        scores = {} if servable.together is None else dict(servable.together.predict(rows))
        for member in servable.members:
            if member.name not in scores:
                scores[member.name] = member.predict(rows)
        return scores

    return run


def measured(store: Store, name: str, repeats: int) -> dict[int, dict[str, Timing]]:
    """Time every way at every batch size; raise if one gives other scores."""
    found, signature = {}, Signature.from_json(store.manifest(name).signature)
    all_ways = ways(store, name)
    for size in SIZES:
        rows = random_rows(signature, size)
        _check_alike(all_ways, rows)
        found[size] = interleaved(
            {way: lambda run=run, rows=rows: run(rows) for way, run in all_ways.items()},  # type: ignore[misc]
            repeats=repeats,
        )
    return found


def _check_alike(all_ways: Mapping[str, Way], rows: Rows) -> None:
    first, *others = [run(rows) for run in all_ways.values()]
    apart = max(float(np.abs(first[name] - other[name]).max()) for other in others for name in first)
    if apart > MOST_APART:
        raise SystemExit(f"ways to run the members differ by {apart}; {MOST_APART} may be")


def markdown(found: Mapping[str, Mapping[int, Mapping[str, Timing]]], facts: Mapping[str, Any]) -> str:
    """Write the figures as tables: rows a second by medians, and how far apart the repeats were."""
    parts = ["# Running the members, in one process", described(facts)]
    for name, sizes in found.items():
        header = ["way", *(f"batch {size}: rows/s (ms, spread; CPU ms)" for size in sizes)]
        lines = [
            [way, *(_cell(size, timings[way]) for size, timings in sizes.items())]
            for way in next(iter(sizes.values()))
        ]
        parts += [f"## {name}", table(header, lines)]
    parts.append(f"numpy's float32 matrix product reaches {facts['sgemm_gflops']:.0f} GFLOP/s here.")
    return "\n\n".join(parts) + "\n"


def _cell(size: int, timing: Timing) -> str:
    spread = f"{timing.fastest * 1e3:.2f}-{timing.slowest * 1e3:.2f}"
    return f"{size / timing.median:,.0f} ({timing.median * 1e3:.2f}, {spread}; {timing.cpu * 1e3:.2f})"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--ensembles", nargs="+", choices=ENSEMBLES, default=list(ENSEMBLES))
    options = parser.parse_args()
    store = Store.open(str(benchmark_store()))
    facts = machine() | {"sgemm_gflops": sgemm_peak()}
    found = {name: measured(store, name, options.repeats) for name in options.ensembles}
    figures = {
        name: {
            size: {way: timing.to_json() for way, timing in by_way.items()} for size, by_way in sizes.items()
        }
        for name, sizes in found.items()
    }
    save("engine", {"machine": facts, "seconds_a_batch": figures}, markdown(found, facts))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
