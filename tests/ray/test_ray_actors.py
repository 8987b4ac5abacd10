"""Needs the extra `ray`: run by `make test-ray`, in an environment of its own."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble.data.dataset import open_dataset
from ensemble.errors import InvalidDataError, MemberError
from ensemble.executors.inline import InlineExecutor
from ensemble.executors.ray_actors import LOOPBACK, RayExecutor
from ensemble.pipelines.ray_data import ScoreBatch
from ensemble.pipelines.stored_ensemble import StoredEnsemble
from ensemble.refit.job import RefitJob
from ensemble.scoring.run import ScoreOptions, Stored, score
from ensemble.scoring.target import Target
from model_store.store import Store
from tests.ensemble.scoring.jobs import tree
from tests.support.flowers import NAME, SIGNATURE, publish_uniform, write_rows
from tests.support.work import Squares

# Before Ray is imported: what a cluster of the executor's own sets for itself.
os.environ.update(
    RAY_AUTH_MODE="token",
    RAY_AUTH_TOKEN=secrets.token_hex(32),
    RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",
    RAY_USAGE_STATS_ENABLED="0",
)
ray = pytest.importorskip("ray", reason="the extra ray isn't installed: make test-ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one CPU each, all on 127.0.0.1."""
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - where Ray is

    cluster = Cluster(
        initialize_head=True,
        connect=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "node_ip_address": LOOPBACK},
    )
    try:
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def squares(work: Squares, workers: int = 2) -> list[int]:
    results = RayExecutor(workers).run(work, range(7), lambda *_: None)
    return sorted(result["square"] for result in results)


def test_every_item_is_done_and_a_lost_actor_is_replaced(cluster: Any, tmp_path: Path) -> None:
    second = cluster.add_node(num_cpus=1, node_ip_address=LOOPBACK)
    work = Squares(tmp_path)
    work.kill_at(2, times=2)
    assert squares(work) == [0, 1, 4, 9, 16, 25, 36]
    assert {node["NodeManagerAddress"] for node in ray.nodes()} == {LOOPBACK}
    cluster.remove_node(second)


def test_each_actor_has_a_gpu_of_its_own(cluster: Any, tmp_path: Path) -> None:
    # Ray believes a node that says it has one: nothing computes on it here.
    node = cluster.add_node(num_cpus=1, num_gpus=1, node_ip_address=LOOPBACK)
    found = list(RayExecutor(1, gpus=1).run(Squares(tmp_path), range(3), lambda *_: None))
    assert {result["gpu"] for result in found} == {"0"}
    cluster.remove_node(node)


def test_an_error_of_the_work_is_raised_as_it_is(cluster: Any, tmp_path: Path) -> None:  # noqa: ARG001
    with pytest.raises(InvalidDataError, match="item 3 is bad"):
        squares(Squares(tmp_path, broken=3), workers=1)


def test_an_item_that_kills_every_actor_fails_the_job(cluster: Any, tmp_path: Path) -> None:  # noqa: ARG001
    work = Squares(tmp_path)
    work.kill_at(2, times=9)
    with pytest.raises(MemberError, match="3 actors were lost while working on part 2"):
        squares(work, workers=1)


def test_a_node_that_is_removed_in_the_middle_changes_no_byte(cluster: Any, tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    publish_uniform(store, tmp_path)
    np.savez(tmp_path / "rows.npz", x=np.random.default_rng(0).normal(size=(100_000, 3)).astype(np.float32))
    dataset = open_dataset([tmp_path / "rows.npz"], SIGNATURE, lenient=True)
    target, options = Target.of_manifest(store, store.manifest(NAME)), ScoreOptions(batch_size=64)
    score(Stored(store.address, target, InlineExecutor()), dataset, tmp_path / "inline", options)
    second = cluster.add_node(num_cpus=1, node_ip_address=LOOPBACK)
    removed: list[int] = []

    def remove(rows: int, _: int) -> None:
        if not removed and rows > 30_000:
            removed.append(rows)
            cluster.remove_node(second, allow_graceful=False)

    ours = Stored(store.address, target, RayExecutor(2))
    result = score(ours, dataset, tmp_path / "ray", options, on_progress=remove)
    assert removed
    assert result.rows == 100_000
    assert tree(tmp_path / "ray") == tree(tmp_path / "inline")


def test_a_refit_by_actors_finds_the_weights_of_one_process(cluster: Any, tmp_path: Path) -> None:  # noqa: ARG001
    store = Store.open(str(tmp_path / "store"))
    publish_uniform(store, tmp_path)
    job = RefitJob(store.address, NAME, (write_rows(tmp_path / "val.npz", 20_000),), dry_run=True)
    alone = job.opened().run(None).learned.after
    actors = replace(job, executor=RayExecutor(1), cache=tmp_path / "cache")
    assert actors.opened().run(None).learned.after == alone
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 9


def test_ray_data_scores_a_dataset_by_actors(cluster: Any, tmp_path: Path) -> None:  # noqa: ARG001
    import ray.data  # noqa: PLC0415 - where Ray is

    store = Store.open(str(tmp_path / "store"))
    ensemble = StoredEnsemble(store.address, NAME, publish_uniform(store, tmp_path))
    x = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    dataset = ray.data.from_items([{"x": row} for row in x])
    scored = dataset.map_batches(
        ScoreBatch, fn_constructor_args=(ensemble,), compute=ray.data.ActorPoolStrategy(size=1), batch_size=64
    )
    found = {row["x"].tobytes(): row["scores"] for row in scored.take_all()}
    expected = ensemble.load().score({"x": x})
    assert all(found[row.tobytes()].tobytes() == one.tobytes() for row, one in zip(x, expected, strict=True))


SCRIPT = """
import os, re, subprocess, sys
from pathlib import Path
from ensemble.executors.ray_actors import RayExecutor
from tests.support.work import Squares
running = RayExecutor(1).run(Squares(Path(sys.argv[1])), range(3), lambda *_: None)
print(next(running)["square"])
import ray
print({node["NodeManagerAddress"] for node in ray.nodes()})
mark = f"STARTED_BY={os.environ['STARTED_BY']}".encode()
for line in subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True).stdout.splitlines():
    owners = [Path("/proc", pid, "environ") for pid in re.findall("pid=([0-9]+)", line)]
    if any(mark in owner.read_bytes() for owner in owners if owner.exists()):
        print(line)
print(len(list(running)), ray.is_initialized())
"""


def test_a_cluster_of_its_own_listens_on_loopback_only_and_ends_with_the_job(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    # Whatever else of Ray's runs on this machine isn't this cluster's.
    environment["STARTED_BY"] = secrets.token_hex(8)
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    lines = done.stdout.splitlines()
    assert lines[:2] == ["0", "{'127.0.0.1'}"]
    assert lines[-1] == "2 False"
    listening = [line.split()[3] for line in lines if "raylet" in line or "gcs_server" in line]
    assert listening
    assert all(LOOPBACK in address for address in listening)
