"""Ray Data: `map_batches` with an actor a core, each with the members as one graph of ONNX Runtime.

    python -m batch_jobs.ray_data GRAPHS ENSEMBLE FEW MANY OUT BATCH ROWS     (in the environment of Ray)

The graph, its release of ONNX Runtime and its options are those that all peers get.
"""

import os
import secrets
import signal
import sys
import time
from pathlib import Path
from typing import Any

from batch_jobs.executors import told
from ensemble.executors.ray_actors import LOOPBACK

CORES = len(os.sched_getaffinity(0))


class Scores:
    """What an actor holds, and does to a batch."""

    def __init__(self, folder: str, name: str) -> None:
        from peers.given.engine import engines  # noqa: PLC0415 - in the actor only

        self._engine = engines(folder, threads=1)[name]

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Score the rows, which Ray calls `data`."""
        return {"scores": self._engine.score(batch["data"])}


def main(arguments: list[str]) -> None:
    """Score both folders and tell."""
    graphs, name, few, many, output, batch = arguments[:6]
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    import ray  # noqa: PLC0415 - reads the environment
    import ray.data  # noqa: PLC0415

    ray.init(
        address="local",
        # A place more than there are cores: reading and writing need one too, or wait for ever.
        num_cpus=CORES + 1,
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address=LOOPBACK,
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    seconds = []
    # The first run starts Ray's worker processes.
    for folder in (few, few, many):
        began = time.perf_counter()
        scored = ray.data.read_numpy(folder).map_batches(
            Scores,
            fn_constructor_args=(graphs, name),
            batch_size=int(batch),
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(size=CORES),
        )
        scored.write_parquet(str(Path(output, Path(folder).name)))
        seconds.append(time.perf_counter() - began)
    rows = ray.data.read_numpy(few).take_batch(1)
    told(seconds[1], seconds[2], Scores(graphs, name)(rows)["scores"][0].tolist())
    ray.shutdown()


if __name__ == "__main__":
    # Whoever is cut off ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main(sys.argv[1:])
