"""Callers that go away, batches that fail, and the end: nobody else notices, and nobody waits for ever."""

import asyncio

import numpy as np
import pytest

from ensemble.errors import EnsembleError, MemberError, OverloadedError, UnavailableError
from ensemble.member import Rows
from ensemble.servable import Scored, Servable
from server.batching.batch_queue import BatchLimits
from server.batching.batcher import Batcher
from tests.server.batching.batchers import MODEL, Tenfold, rows, scores_of, serving, soon
from tests.support.observers import Recorder


async def test_what_is_left_of_a_large_request_never_runs_once_a_part_has_failed() -> None:
    batches: list[int] = []

    async def fail(_: Servable, batch: Rows, _count: int) -> Scored:
        batches.append(len(batch["x"]))
        raise MemberError("member 'a' failed")

    async with serving(Batcher(fail, BatchLimits(max_batch_size=2), Recorder())) as batcher:
        with pytest.raises(MemberError, match="member 'a' failed"):
            await batcher.submit(MODEL, rows(1, 2, 3, 4, 5, 6, 7), soon())
        await asyncio.sleep(0)
    assert batches in ([2], [2, 2])  # the second may have begun before the first one's error was told


async def test_a_caller_of_a_large_request_that_goes_away_frees_all_its_places() -> None:
    run = Tenfold()
    run.gate.clear()
    limits = BatchLimits(max_batch_size=2, max_queue_size=6)
    async with serving(Batcher(run, limits, Recorder())) as batcher:
        gone = asyncio.create_task(scores_of(batcher, MODEL, rows(1, 2, 3, 4, 5, 6), soon()))
        while not run.batches:
            await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        stays = asyncio.create_task(scores_of(batcher, MODEL, rows(1, 2, 3, 4, 5, 6), soon()))
        await asyncio.sleep(0)
        run.gate.set()
        assert (await stays).ravel().tolist() == [10, 20, 30, 40, 50, 60]
    assert run.batches == [2, 2, 2, 2]


@pytest.mark.parametrize("gone", [0, 1, 2])
async def test_a_caller_that_goes_away_leaves_its_neighbours_alone(gone: int) -> None:
    run = Tenfold()
    run.gate.clear()
    async with serving(Batcher(run, BatchLimits(max_batch_size=3, max_queue_delay=5), Recorder())) as batcher:
        calls = [asyncio.create_task(scores_of(batcher, MODEL, rows(i), soon())) for i in range(3)]
        while not run.batches:
            await asyncio.sleep(0)
        calls[gone].cancel()
        run.gate.set()
        async with asyncio.timeout(2):
            results = await asyncio.gather(*calls, return_exceptions=True)
    for i, result in enumerate(results):
        if i == gone:
            assert isinstance(result, asyncio.CancelledError)
        else:
            assert isinstance(result, np.ndarray)
            assert result.item() == i * 10


async def test_a_caller_that_goes_away_while_queued_never_reaches_the_model_and_frees_its_place() -> None:
    run = Tenfold()
    run.gate.clear()
    limits = BatchLimits(max_batch_size=2, max_queue_size=2)
    async with serving(Batcher(run, limits, Recorder())) as batcher:
        running = asyncio.create_task(scores_of(batcher, MODEL, rows(1), soon()))
        while not run.batches:
            await asyncio.sleep(0)
        gone = asyncio.create_task(scores_of(batcher, MODEL, rows(2, 3), soon()))
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await scores_of(batcher, MODEL, rows(4), soon())
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        stays = asyncio.create_task(scores_of(batcher, MODEL, rows(5), soon()))
        await asyncio.sleep(0)
        run.gate.set()
        assert (await running).item() == 10
        assert (await stays).item() == 50
    assert run.batches == [1, 1]


@pytest.mark.parametrize("error", [RuntimeError("boom"), MemberError("boom")])
async def test_a_failing_batch_fails_every_caller_in_it_and_the_next_batch_runs(error: Exception) -> None:
    answers = Tenfold()

    async def fail_once(model: Servable, batch: Rows, count: int) -> Scored:
        if not answers.batches:
            answers.batches.append(0)
            raise error
        return await answers(model, batch, count)

    limits = BatchLimits(max_batch_size=2, max_queue_delay=5)
    async with serving(Batcher(fail_once, limits, Recorder())) as batcher:
        calls = (scores_of(batcher, MODEL, rows(i), soon()) for i in range(2))
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [str(r) for r in results] == ["boom", "boom"]
        assert [type(r) for r in results] == [type(error)] * 2
        assert (await scores_of(batcher, MODEL, rows(1, 2), soon())).ravel().tolist() == [10, 20]


async def test_callers_of_a_failed_batch_get_an_error_object_each() -> None:
    async def fail(_: Servable, __: Rows, _count: int) -> Scored:
        raise MemberError("boom")

    limits = BatchLimits(max_batch_size=2, max_queue_delay=5)
    async with serving(Batcher(fail, limits, Recorder())) as batcher:
        calls = (scores_of(batcher, MODEL, rows(i), soon()) for i in range(2))
        first, second = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(first, EnsembleError)
    assert first is not second


async def test_nobody_waits_after_shutdown() -> None:
    run = Tenfold()
    run.gate.clear()
    limits = BatchLimits(max_batch_size=1, max_queue_delay=5)
    async with serving(Batcher(run, limits, Recorder())) as batcher:
        running = asyncio.create_task(scores_of(batcher, MODEL, rows(1), soon()))
        while not run.batches:
            await asyncio.sleep(0)
        queued = asyncio.create_task(scores_of(batcher, MODEL, rows(2), soon()))
        await asyncio.sleep(0)
    for call in (running, queued):
        with pytest.raises(UnavailableError):
            await call
