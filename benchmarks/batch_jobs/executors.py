"""unisono's executors with a thread a worker: what a second process or node adds.

    python -m batch_jobs.executors STORE ENSEMBLE FEW MANY OUT process|ray COUNT

For Ray, COUNT nodes of one CPU each are started on this machine first. Prints what `told` says.
"""

import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq

from ensemble.data.dataset import open_dataset
from ensemble.executors.executor import Executor
from ensemble.executors.process import ProcessExecutor
from ensemble.executors.ray_actors import LOOPBACK, RayExecutor
from ensemble.scoring.run import Stored, score
from ensemble.scoring.target import Target
from model_store.store import Store


def told(few: float, many: float, first: list[float]) -> None:
    """Print the seconds that few and many rows took, and the scores of the first row."""
    print(json.dumps({"few": few, "many": many, "first": first}), flush=True)


@contextmanager
def crew(kind: str, count: int) -> Iterator[Executor]:
    """Give an executor of `count` workers; on Ray, on as many nodes."""
    if kind == "process":
        yield ProcessExecutor(count, threads=1)
        return
    # Before Ray is imported: as for a cluster of the executor's own.
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    import ray  # noqa: PLC0415 - in its own environment only
    from ray.cluster_utils import Cluster  # noqa: PLC0415

    node = {"num_cpus": 1, "node_ip_address": LOOPBACK}
    cluster = Cluster(initialize_head=True, connect=True, head_node_args={**node, "include_dashboard": False})
    try:
        for _ in range(count - 1):
            cluster.add_node(**node)
        yield RayExecutor(count)
    finally:
        ray.shutdown()
        cluster.shutdown()


def main(arguments: list[str]) -> None:
    """Score both folders and tell."""
    address, name, few, many, output, kind, count = arguments
    store = Store.open(address)
    target = Target.of_manifest(store, store.manifest(name))
    seconds = []
    with crew(kind, int(count)) as executor:
        # The first job measures how the members run best, and keeps it.
        for number, folder in enumerate((few, few, many)):
            began, place = time.perf_counter(), Path(output, str(number))
            dataset = open_dataset([Path(folder)], target.signature, lenient=True)
            score(Stored(address, target, executor), dataset, place)
            seconds.append(time.perf_counter() - began)
    first = pq.ParquetFile(Path(output, "0", "part-00000.parquet")).read_row_group(0)
    told(seconds[1], seconds[2], first.column("scores")[0].as_py())


if __name__ == "__main__":
    # Whoever is cut off ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main(sys.argv[1:])
