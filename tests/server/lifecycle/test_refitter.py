import asyncio
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from ensemble.errors import EnsembleError, InvalidDataError, UnavailableError
from ensemble.refit.job import RefitJob
from model_store.store import Store
from server.lifecycle.refitter import Found, Refitter, run_in_process
from server.telemetry.refits import RefitFigures
from tests.support.flowers import NAME, publish_uniform, write_rows
from tests.support.observers import Recorder

JOB = RefitJob("store", "digits", (Path("val.npz"),))
FOUND: Found = {
    "outcome": "published",
    "version": 2,
    "solver": {"gap": 1e-12},
    "validation": {"losses": {"incumbent": 0.25, "learned": 0.125}},
    "verdict": {"reasons": ["it is better"]},
}


class World:
    """A refitter whose refits end when they are let, as they are told."""

    def __init__(self, found: Found | Exception) -> None:
        self.found = found
        self.let, self.begun = Event(), Event()
        self.told = Recorder()
        self.published = 0
        self.refitter = Refitter(self.told, self.look, self.run)

    async def look(self) -> None:
        self.published += 1

    def run(self, _job: RefitJob) -> Found:
        self.begun.set()
        assert self.let.wait(20)
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def outcomes(self) -> list[tuple[Any, ...]]:
        return [args[:2] for args in self.told.of("finished")]


async def test_what_was_found_is_returned_and_told_and_the_new_version_looked_for() -> None:
    world = World(FOUND)
    world.let.set()
    found = await world.refitter.refit(JOB)
    assert found == FOUND | {"seconds": found["seconds"]}
    [(_, args, kwargs)] = world.told.calls
    assert args == ("digits", "published", found["seconds"])
    assert kwargs == {"version": 2, "figures": RefitFigures({"incumbent": 0.25, "learned": 0.125}, 1e-12)}
    assert world.published == 1


async def test_where_nothing_was_published_nothing_is_looked_for() -> None:
    world = World(FOUND | {"outcome": "held", "version": None})
    world.let.set()
    await world.refitter.refit(JOB)
    assert (world.outcomes(), world.published) == ([("digits", "held")], 0)


async def test_a_refit_that_fails_is_told_of_and_raises_what_it_raised() -> None:
    world = World(InvalidDataError("no labels"))
    world.let.set()
    with pytest.raises(InvalidDataError, match="no labels"):
        await world.refitter.refit(JOB)
    assert world.outcomes() == [("digits", "failed")]
    world.found = FOUND
    assert (await world.refitter.refit(JOB))["version"] == 2


async def test_one_is_run_at_a_time_and_to_its_end_when_its_caller_is_gone() -> None:
    world = World(FOUND)
    caller = asyncio.create_task(world.refitter.refit(JOB))
    assert await asyncio.to_thread(world.begun.wait, 20)
    with pytest.raises(UnavailableError, match="a refit of digits is under way, and one is run at a time"):
        await world.refitter.refit(JOB)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert world.outcomes() == []

    world.let.set()
    async with asyncio.timeout(20):
        while not world.published:
            await asyncio.sleep(0.01)
    assert world.outcomes() == [("digits", "published")]
    # And the next one may come.
    assert (await world.refitter.refit(JOB))["version"] == 2


async def test_whoever_hears_of_a_publish_may_ask_for_the_next_refit_at_once() -> None:
    world = World(FOUND)
    world.let.set()
    asked: list[asyncio.Task[Found]] = []

    async def published() -> None:
        if not asked:
            # Begins when the first one's task has ended, and before anything that was to follow that.
            asked.append(asyncio.create_task(refitter.refit(JOB)))

    refitter = Refitter(world.told, published, world.run)
    assert (await refitter.refit(JOB))["version"] == 2
    world.let.clear()
    with pytest.raises(UnavailableError, match="one is run at a time"):
        await refitter.refit(JOB)

    world.let.set()
    assert (await asked[0])["version"] == 2
    assert world.outcomes() == [("digits", "published")] * 2


async def test_a_failure_that_nobody_waits_for_is_logged_and_no_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(InvalidDataError("no labels"))
    caller = asyncio.create_task(world.refitter.refit(JOB))
    assert await asyncio.to_thread(world.begun.wait, 20)
    caller.cancel()
    world.let.set()
    async with asyncio.timeout(20):
        while not world.outcomes():
            await asyncio.sleep(0.01)
    assert "refit of digits failed: no labels" in caplog.text


def test_a_process_of_its_own_finds_what_this_one_would(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    publish_uniform(store, tmp_path)
    job = RefitJob(store.address, NAME, (write_rows(tmp_path / "val.npz"),), dry_run=True)
    # A nice process gets next to nothing of a machine that others use.
    found = run_in_process(job, niceness=0)
    assert (found["outcome"], found["version"]) == ("dry_run", None)
    here = job.opened().run(None).learned
    assert found["weights"] == pytest.approx(here.after, abs=1e-9)
    with pytest.raises(EnsembleError, match="nowhere"):
        run_in_process(RefitJob(store.address, NAME, (tmp_path / "nowhere.npz",)))
