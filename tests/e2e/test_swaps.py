"""Versions are exchanged under constant load: no request is lost, none meets a mixture, no memory stays.

`UNISONO_PROOF=whole` makes it a hundred swaps.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ensemble.loading.golden import Golden
from ensemble.loading.load import load_servable
from ensemble.pooling.linear import LinearPool
from ensemble.publishing.publish import PublishOptions, publish
from ensemble.weights import Weights
from model_store.store import Store
from model_store.weights import weights_json
from server.cli.demonstration.callers import Tally, calling
from server.cli.demonstration.server_process import ServerProcess, serving
from tests.support.figures import report
from tests.support.onnx_models import write_linear

NAME = "swapped"
CALLERS = 32
SWAPS = 100 if os.environ.get("UNISONO_PROOF") == "whole" else 8
# Each version has the member `shared`, and one of these as `own`: 8 MB of parameters.
OWN = 4
FEATURES, CLASSES = 2048, 1000
ROWS = {"x": np.linspace(-1, 1, 3 * FEATURES, dtype=np.float32).reshape(3, FEATURES)}
GROWTH = 1.1

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux"),
]


@pytest.fixture(name="store")
def fixture_store(tmp_path: Path) -> Store:
    """A store with a version for each `own` member, the first of them current."""
    store = Store.open(str(tmp_path / "store"))
    for seed in range(OWN + 1):
        write_linear(tmp_path / f"{seed}.onnx", {"x": FEATURES}, classes=CLASSES, seed=seed)
    for seed in range(1, OWN + 1):
        files = {"shared": tmp_path / "0.onnx", "own": tmp_path / f"{seed}.onnx"}
        publish(store, NAME, files, PublishOptions())
    store.rollback(NAME, 1, by="t", why="begin with the first")
    return store


@pytest.fixture(name="server")
def fixture_server(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerProcess]:
    # glibc never gives back the free end of any arena but the first, which may be a member's size or two:
    # what is resident would say more, by chance, than what versions hold.
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    with serving(store.address, tmp_path / "serve.log", ["--poll-interval-secs", "0.05"]) as process:
        yield process


def resident(server: ServerProcess) -> int:
    """The bytes of memory that the server holds."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def settled(server: ServerProcess, enough: float) -> int:
    """The bytes that the server holds once the last version's batches have ended and its memory is returned.

    On a busy machine that takes a moment; memory that isn't returned in 20 s isn't returned.
    """
    until = time.monotonic() + 20
    while (held := resident(server)) >= enough and time.monotonic() < until:
        time.sleep(0.1)
    return held


def publish_another(store: Store, number: int) -> int:
    """Publish a version with the next `own` member and weights that no other version has."""
    manifest = store.manifest(NAME, 1 + number % OWN)
    golden = Golden.read(store, manifest)
    assert golden is not None
    share = 0.25 + 0.5 * number / (SWAPS + 1)
    weights = Weights({"shared": share, "own": 1 - share})
    draft = replace(
        manifest.draft,
        weights=store.put_blob(NAME, weights_json(weights.by_member, manifest.digests)),
        golden=Golden.of(golden.rows, golden.members, LinearPool(weights)).put(store, NAME),
    )
    return store.publish(NAME, draft, by="t", why=f"swap {number}").version


def wait_for(tally: Tally, version: int) -> None:
    """Wait until every caller can have had an answer of this version."""
    end = time.monotonic() + 60
    while tally.by_version[version] < CALLERS:
        assert time.monotonic() < end, f"version {version} isn't served: {tally.failures[:3]}"
        time.sleep(0.005)


def test_swaps_under_load_lose_no_request_mix_no_versions_and_leave_no_memory(
    server: ServerProcess, store: Store, pytestconfig: pytest.Config
) -> None:
    with calling(server.address, NAME, ROWS, CALLERS) as first:
        wait_for(first, 1)
    before = resident(server)
    began = time.monotonic()
    with calling(server.address, NAME, ROWS, CALLERS) as tally:
        versions = []
        for number in range(1, SWAPS + 1):
            versions.append(publish_another(store, number))
            wait_for(tally, versions[-1])
    seconds = time.monotonic() - began
    after = settled(server, GROWTH * before)

    assert first.failures == tally.failures == []
    # Version 1 may still have answered after the second batch of callers came.
    assert set(tally.by_version) - {1} == set(versions)
    reference = {
        version: load_servable(store, NAME, version).score(ROWS).tobytes() for version in (1, *versions)
    }
    assert len(set(reference.values())) == SWAPS + 1
    assert set(tally.answers) - set(reference.items()) == set()
    memory = f"{before / 2**20:.0f} MiB resident before, {after / 2**20:.0f} after"
    report(
        pytestconfig,
        f"{SWAPS} swaps under load from {CALLERS} callers in {seconds:.0f} s: {tally.answers.total()} answers"
        f", 0 failed, each of one version; {memory}",
    )
    assert after < GROWTH * before
