import os
import subprocess
import sys
from pathlib import Path

import pytest

from ensemble.errors import EnsembleError, InvalidRequestError
from ensemble.refit.job import NICENESS, RefitJob, RefitWork
from model_store.store import Store
from tests.support.flowers import NAME, publish_uniform, write_rows


@pytest.fixture(name="job")
def fixture_job(tmp_path: Path) -> RefitJob:
    store = Store.open(str(tmp_path / "store"))
    publish_uniform(store, tmp_path)
    data, test = write_rows(tmp_path / "val.npz"), write_rows(tmp_path / "test.npz", rows=200, seed=1)
    return RefitJob(store.address, NAME, (data,), (test,), by="ann")


def test_a_job_is_opened_by_its_addresses_and_run(job: RefitJob) -> None:
    seen: list[int] = []
    opened = job.opened()
    result = opened.run(seen.append)
    assert opened.rows == 600
    assert (seen[-1], result.version) == (600, 2)
    head = Store.open(job.store).head(NAME)
    assert head is not None
    assert head.by == "ann"


def test_what_is_wrong_is_said_when_the_job_is_opened(job: RefitJob, tmp_path: Path) -> None:
    with pytest.raises(EnsembleError, match="nowhere"):
        RefitJob(job.store, NAME, (tmp_path / "nowhere.npz",)).opened()
    with pytest.raises(InvalidRequestError, match="say why"):
        RefitJob(job.store, NAME, job.data, force=True).opened()


def test_the_work_gives_what_was_found_as_json_and_makes_way(
    job: RefitJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(os, "nice", asked.append)
    done: list[tuple[int, int]] = []
    found = RefitWork(job).start(1)(7, lambda item, rows: done.append((item, rows)))
    assert asked == [NICENESS]
    assert done[-1] == (7, 600)
    assert (found["outcome"], found["version"], found["parent"], found["forced"]) == (
        "published",
        2,
        1,
        False,
    )
    assert set(found["weights"]) == {"blunt", "fair", "over"}
    assert found["verdict"]["publish"] is True


def test_describing_a_refit_loads_nothing_heavy() -> None:
    heavy = {"scipy", "numpy", "pyarrow", "onnxruntime"}
    code = f"import sys, ensemble.refit.job; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
