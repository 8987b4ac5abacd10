"""The best that one process does with rows in memory and members loaded: what all else is compared with.

    python -m batch_jobs.in_process STORE ENSEMBLE FOLDER      (with benchmarks/ on the path)

Finds the fastest of engine.py's ways and batch sizes; then, for each line it reads, scores all rows and
answers with a line: `{"seconds", "cpu", "way", "batch", "first"}`.
"""

import json
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from engine import Way, ways
from measure import interleaved

from batch_jobs.inputs import arrays
from ensemble.loading.load import load_servable
from ensemble.member import Rows
from model_store.store import Store

SIZES = (4, 16, 64, 256, 1024, 4096)
# Larger batches are no quicker for rows of this size, and trying them takes long.
MOST_BYTES = 16 << 20
BEHIND = 1.3


def fastest(runs: Mapping[str, Way], rows: Rows) -> tuple[str, int]:
    """Return the way and batch size that take least time a row; a way that falls behind is given up."""
    (first,) = rows.values()
    seconds: dict[tuple[str, int], float] = {}
    left = dict(runs)
    for size in SIZES:
        if size > len(first) or size * first[0].nbytes > MOST_BYTES:
            break
        part = {name: array[:size] for name, array in rows.items()}
        found = interleaved({way: partial(run, part) for way, run in left.items()}, repeats=3)
        seconds |= {(way, size): timing.median / size for way, timing in found.items()}
        # Beside the others at this size: a busy moment may slow all of them down.
        best = min(seconds[way, size] for way in left)
        left = {way: run for way, run in left.items() if seconds[way, size] <= BEHIND * best}
    return min(seconds, key=seconds.__getitem__)


def main(store: Store, name: str, folder: Path) -> None:
    """Choose, then answer line by line."""
    servable = load_servable(store, name)
    key, rows = servable.signature.inputs[0].name, np.concatenate(list(arrays(folder)))
    runs = ways(store, name)
    way, batch = fastest(runs, {key: rows[: max(SIZES)]})
    for _ in sys.stdin:
        began, cpu = time.perf_counter(), time.process_time()
        scores = [
            servable.pool(runs[way]({key: rows[start : start + batch]}))
            for start in range(0, len(rows), batch)
        ]
        told = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
        print(json.dumps({**told, "way": way, "batch": batch, "first": scores[0][0].tolist()}), flush=True)


if __name__ == "__main__":
    main(Store.open(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
