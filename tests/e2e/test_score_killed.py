"""A job that is killed with `kill -9` wherever it is, and run again, ends with the same bytes."""

import os
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from ensemble.loading.load import load_servable
from model_store.store import Store
from server.cli.main import EXIT_ERROR_ROWS
from tests.ensemble.scoring.jobs import tree
from tests.support import figures
from tests.support.flowers import NAME, publish_uniform
from tests.support.killing import (
    STILL_RUNS,
    job,
    kill,
    wait_at_most,
    wait_for,
    wait_for_a_worker,
    wait_until_gone,
    workers_of,
)

WHOLE = os.environ.get("UNISONO_PROOF") == "whole"
ROWS = 200_000 if WHOLE else 30_000
BAD = (7, 8192, 29_999)
EXECUTORS = {"inline": (), "process": ("--executor", "process", "--workers", "2")}


class Setting:
    """A store, rows of which three are bad, and what an undisturbed job makes of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store.open(str(folder / "store"))
        publish_uniform(self.store, folder)
        self.x = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
        self.x[list(BAD)] = np.nan
        np.savez(folder / "rows.npz", x=self.x)
        began = time.monotonic()
        self.run("whole")
        self.seconds = time.monotonic() - began

    def arguments(self, output: str, *options: str) -> list[str]:
        rows, folder = str(self.folder / "rows.npz"), str(self.folder / output)
        given = ["--input", rows, "--output", folder, "--store", self.store.address, "--max-error-rows", "3"]
        # The smaller the batches, the longer the job, the more moments to die at.
        return [NAME, *given, "--batch-size", "64", *options]

    def run(self, output: str, *options: str) -> str:
        """Run to the end; return what it said."""
        with job(*self.arguments(output, *options)) as process:
            out, err = process.communicate(timeout=STILL_RUNS)
        assert process.returncode == EXIT_ERROR_ROWS, err
        return out


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return Setting(tmp_path_factory.mktemp("killed"))


def test_an_undisturbed_job_has_each_row_once(setting: Setting) -> None:
    table = pq.read_table(setting.folder / "whole")
    good = np.delete(np.arange(ROWS), BAD)
    assert np.array_equal(table.column("row").to_numpy(), good)
    scores = np.stack(table.column("scores").to_numpy())
    expected = load_servable(setting.store, NAME).score({"x": setting.x[good]})
    assert scores.tobytes() == expected.tobytes()
    assert tuple(pq.read_table(setting.folder / "whole/_errors").column("row").to_pylist()) == BAD


PROOF = (pytest.mark.slow, pytest.mark.skipif(not WHOLE, reason="minutes long: make proof"))


@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=PROOF)])
@pytest.mark.parametrize("victim", ["job", "worker"])
@pytest.mark.parametrize("executor", sorted(EXECUTORS))
def test_whenever_it_is_killed_it_ends_with_the_same_bytes(
    executor: str, victim: str, kills: int, setting: Setting, request: pytest.FixtureRequest
) -> None:
    if (executor, victim) == ("inline", "worker"):
        pytest.skip("inline has no workers")
    chance, options = random.Random(f"{executor} {victim} {kills}"), EXECUTORS[executor]  # noqa: S311 - repeatable
    output, attempt, killed, resumed = f"{executor}-{victim}-{kills}-0", 0, 0, 0
    while killed < kills:
        with job(*setting.arguments(output, *options)) as process:
            wait_for(setting.folder / output / "_job/plan.json", process)
            if victim == "worker":
                wait_for_a_worker(process)
            wait_at_most(process, chance.uniform(0, setting.seconds))
            workers = workers_of(process.pid)
            target = process.pid if victim == "job" else chance.choice(workers or [None])
            if process.poll() is None and target is not None:
                kill(target)
                killed += 1
            _, told = process.communicate(timeout=STILL_RUNS)
        assert wait_until_gone(workers)
        if process.returncode == EXIT_ERROR_ROWS:
            assert tree(setting.folder / output) == tree(setting.folder / "whole")
            attempt += 1
            output = f"{executor}-{victim}-{kills}-{attempt}"
        else:
            assert process.returncode == -9, told
            resumed += 1
    setting.run(output, *options)
    assert tree(setting.folder / output) == tree(setting.folder / "whole")
    figures.report(
        request.config,
        f"scoring of {ROWS:,} rows, {executor}: {kills} kills of the {victim}, {resumed} resumed, same bytes",
    )


def test_two_jobs_that_race_in_one_folder_do_no_harm(setting: Setting) -> None:
    arguments = setting.arguments("race")
    with job(*arguments) as first, job(*arguments, "--executor", "process", "--workers", "2") as second:
        told: list[Any] = [process.communicate(timeout=STILL_RUNS) for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [EXIT_ERROR_ROWS] * 2, told
    assert tree(setting.folder / "race") == tree(setting.folder / "whole")
