"""A refit whose scores and sums are worked out by others finds the same weights, to the last bit."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import InvalidDataError, UnavailableError
from ensemble.executors.executor import Executor, Report, Result, Work
from ensemble.executors.inline import InlineExecutor
from ensemble.executors.process import ProcessExecutor
from ensemble.refit import predictions, remote_passes, trying
from ensemble.refit.job import RefitJob
from model_store.store import Store
from tests.support.flowers import NAME, publish_uniform, write_rows

ROWS = 20_000


@dataclass(frozen=True)
class Nobody:
    """Says that all is done."""

    def run(self, work: Work, items: Iterable[int], report: Report) -> Iterator[Result]:  # noqa: ARG002
        for item in items:
            yield {"shard": item, "seconds": {}, "scored": {}}


@pytest.fixture(name="job", scope="module")
def fixture_job(tmp_path_factory: pytest.TempPathFactory) -> RefitJob:
    folder = tmp_path_factory.mktemp("flowers")
    store = Store.open(str(folder / "store"))
    publish_uniform(store, folder)
    data = write_rows(folder / "val.npz", ROWS)
    return RefitJob(store.address, NAME, (data,), dry_run=True)


@pytest.fixture(name="in_memory", scope="module")
def fixture_in_memory(job: RefitJob) -> dict[str, float]:
    return dict(job.opened().run(None).learned.after)


@pytest.fixture(name="tiny_memory")
def fixture_tiny_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that holds nothing: all is in files, and gone over by others."""
    monkeypatch.setattr(predictions, "TRUE_CLASS_IN_MEMORY", 0)
    monkeypatch.setattr("ensemble.refit.cache.VALUES_IN_MEMORY", 0)
    monkeypatch.setattr(remote_passes, "LARGE", 0)


@pytest.mark.parametrize("count", [1, 7])
def test_any_number_of_processes_finds_the_weights_that_one_finds_in_memory(
    count: int, job: RefitJob, in_memory: dict[str, float], tmp_path: Path
) -> None:
    seen: list[int] = []
    distributed = replace(job, executor=ProcessExecutor(count), cache=tmp_path)
    result = distributed.opened().run(seen.append)
    assert result.learned.after == in_memory
    assert seen == sorted(seen)
    assert seen[-1] == ROWS
    # Three shards of three members; nothing else is left behind.
    assert len(list(tmp_path.rglob("*.npy"))) == 9
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.usefixtures("tiny_memory")
def test_sums_by_other_processes_give_the_same_weights(job: RefitJob, in_memory: dict[str, float]) -> None:
    result = replace(job, executor=ProcessExecutor(2)).opened().run(None)
    assert result.learned.after == in_memory


@pytest.mark.usefixtures("tiny_memory")
def test_weights_of_a_brier_score_are_the_same_too(job: RefitJob, tmp_path: Path) -> None:
    # Two shards.
    brier = replace(job, objective="brier", data=(write_rows(tmp_path / "val.npz", 9000),))
    expected = brier.opened().run(None).learned.after
    assert replace(brier, executor=InlineExecutor()).opened().run(None).learned.after == expected


def test_scores_that_are_there_are_not_asked_for(job: RefitJob, tmp_path: Path) -> None:
    few = replace(job, data=(write_rows(tmp_path / "val.npz", 300),), cache=tmp_path / "cache")
    first = replace(few, executor=InlineExecutor()).opened().run(None)
    again = replace(few, executor=Nobody()).opened().run(None)
    assert again.learned.after == first.learned.after


def test_workers_that_write_elsewhere_are_found_out(job: RefitJob, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"rows 0 to 8191 are not there .* same one for all workers"):
        replace(job, executor=Nobody(), cache=tmp_path).opened().run(None)


def test_data_that_changes_after_it_was_read_is_refused(job: RefitJob, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "val.npz", 300)

    @dataclass(frozen=True)
    class Late:
        inner: Executor

        def run(self, work: Work, items: Iterable[int], report: Report) -> Iterator[Result]:
            write_rows(data, 300, seed=1)
            yield from self.inner.run(work, items, report)

    with pytest.raises(InvalidDataError, match="changed while it was read: rows 0 to 299"):
        replace(job, data=(data,), executor=Late(InlineExecutor())).opened().run(None)


def test_rows_that_become_unreadable_are_refused(job: RefitJob, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "val.npz", 300)

    @dataclass(frozen=True)
    class Spoiling:
        def run(self, work: Work, items: Iterable[int], report: Report) -> Iterator[Result]:
            rows = dict(np.load(data))
            rows["x"][7] = np.nan
            np.savez(data, **rows)
            yield from InlineExecutor().run(work, items, report)

    with pytest.raises(InvalidDataError, match="changed while it was read"):
        replace(job, data=(data,), executor=Spoiling()).opened().run(None)


def test_of_very_many_rows_every_nth_is_folded(
    job: RefitJob, in_memory: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trying, "FOLDED_VALUES", 3 * 5000)
    learned = job.opened().run(None).learned
    assert learned.after == in_memory
    assert learned.validation.rows == ROWS
    assert learned.verdict.publish
