"""When a batch is taken, on a clock that jumps, and what is told of where its time went."""

import asyncio

import pytest

from ensemble.errors import DeadlineError
from ensemble.member import Rows, Scores
from ensemble.servable import Scored, Servable
from server.batching.batch_queue import BatchLimits
from server.batching.batcher import Batcher
from server.batching.pace import ENOUGH
from server.telemetry.statistics import BatchTimes
from tests.server.batching.batchers import MODEL, Tenfold, rows, scores_of, serving, soon
from tests.support import clock
from tests.support.observers import Recorder


def test_a_lone_request_waits_out_the_queue_delay() -> None:
    async def main() -> Scores:
        async with serving(Batcher(Tenfold(), BatchLimits(max_queue_delay=3), Recorder())) as batcher:
            return await scores_of(batcher, MODEL, rows(1), soon())

    scores, seconds = clock.run(main())
    assert scores.item() == 10
    assert seconds == pytest.approx(3, abs=1e-6)


def test_a_lone_request_does_not_wait_when_no_delay_is_set() -> None:
    async def main() -> Scores:
        async with serving(Batcher(Tenfold(), BatchLimits(), Recorder())) as batcher:
            return await scores_of(batcher, MODEL, rows(1), soon())

    assert clock.run(main())[1] == 0


async def test_a_request_whose_deadline_passes_in_the_queue_is_told_so() -> None:
    async with serving(Batcher(Tenfold(), BatchLimits(max_queue_delay=0.05), Recorder())) as batcher:
        with pytest.raises(DeadlineError):
            await scores_of(batcher, MODEL, rows(1), soon(0.01))


def test_a_batch_tells_where_its_time_went() -> None:
    told = Recorder()

    async def slow(_: Servable, batch: Rows, _count: int) -> Scored:
        await asyncio.sleep(0.25)
        return Scored(batch["x"], {}, {"a": 0.125})

    async def main() -> None:
        limits = BatchLimits(max_queue_delay=3, max_batch_size=4)
        async with serving(Batcher(slow, limits, told)) as batcher:
            await batcher.submit(MODEL, rows(1, 2), soon())

    clock.run(main())

    [(model, version, times)] = told.of("scored")
    assert (model, version) == ("digits", 1)
    assert times == BatchTimes(2, [3.0], 0.0, 0.25, 0.0, {"a": 0.125})


def test_who_comes_is_told_to_expect_what_runs_and_waits_at_the_last_batches_pace() -> None:
    async def main() -> None:
        run = OneByOne(seconds=1.0)
        async with serving(Batcher(run, BatchLimits(max_batch_size=2), Recorder())) as batcher:
            assert batcher.expected_wait() == 0.0
            for _ in range(ENOUGH):
                await batcher.submit(MODEL, rows(1, 2), soon())
            waiting = [asyncio.create_task(batcher.submit(MODEL, rows(1, 2), soon()))]
            await asyncio.sleep(0.25)
            # Nobody waits: whoever comes now is next.
            assert batcher.expected_wait() == 0.0
            waiting += [asyncio.create_task(batcher.submit(MODEL, rows(3, 4), soon())) for _ in range(2)]
            await asyncio.sleep(0.25)
            # Two batches wait and one runs, of two rows each, which has run for a quarter of its time.
            assert batcher.expected_wait() == 5.5
            assert batcher.expected_wait(coming=3) == 8.5
            run.seconds = 5.0
            await asyncio.sleep(5)
            # The next takes longer than any before; the last is laid out behind it.
            assert batcher.expected_wait(coming=1) == 1.5
            await asyncio.sleep(1)
            assert batcher.expected_wait(coming=1) == 1.0
            await asyncio.gather(*waiting)
            assert batcher.expected_wait() == 0.0

    clock.run(main())


class OneByOne:
    """Takes so many seconds a row, one batch at a time; notes when each was handed over, and how large."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.free = asyncio.Lock()
        self.handed_over: list[tuple[float, int]] = []

    async def __call__(self, _: Servable, batch: Rows, _count: int) -> Scored:
        self.handed_over.append((round(asyncio.get_running_loop().time(), 6), len(batch["x"])))
        async with self.free:
            await asyncio.sleep(self.seconds * len(batch["x"]))
        return Scored(batch["x"], {})


def handed_over(seconds: float) -> tuple[list[tuple[float, int]], list[BatchTimes]]:
    """Two rows teach the pace; then two more run, and one comes early, one late meanwhile, one after."""
    told = Recorder()

    async def main() -> list[tuple[float, int]]:
        run = OneByOne(seconds)
        async with serving(Batcher(run, BatchLimits(max_batch_size=8), told)) as batcher:
            await batcher.submit(MODEL, rows(1, 2), soon(100))
            running = [asyncio.create_task(batcher.submit(MODEL, rows(3, 4), soon(100)))]
            for wait in (0.5, 1.0, 0.75):
                await asyncio.sleep(wait * seconds)
                running.append(asyncio.create_task(batcher.submit(MODEL, rows(5), soon(100))))
            await asyncio.gather(*running)
        return run.handed_over

    return clock.run(main())[0], [times for _, _, times in told.of("scored")]


def test_the_next_batch_waits_at_the_engines_door_a_moment_before_the_engine_is_free() -> None:
    batches, times = handed_over(0.1)
    # The third, of the two that came by then, 2 ms before the second ends; the last so before the third does.
    assert batches == [(0.0, 2), (0.2, 2), (0.398, 2), (0.598, 1)]
    # What it waited there is no time that the engine took.
    assert [round(each.running, 6) for each in times] == [0.2, 0.2, 0.2, 0.1]


def test_brief_batches_are_taken_when_the_engine_is_free_so_that_they_are_larger() -> None:
    batches, _ = handed_over(0.001)
    assert batches == [(0.0, 2), (0.002, 2), (0.004, 2), (0.006, 1)]


async def test_brief_batches_run_one_after_another_and_let_answers_out_between_them() -> None:
    answered: list[int] = []
    run = Tenfold()

    async def ask(value: int) -> None:
        answered.append(int((await scores_of(batcher, MODEL, rows(value), soon())).item()))
        # The next batch hasn't begun.
        assert len(run.batches) == len(answered)

    batcher = Batcher(
        run, BatchLimits(max_batch_size=1), Recorder(), brief=lambda _, count, _alone: count == 1
    )
    async with serving(batcher):
        await asyncio.gather(*map(ask, (1, 2, 3)))
    assert answered == [10, 20, 30]


async def test_who_asks_alone_again_and_again_is_told_from_the_first_of_a_crowd() -> None:
    asked: list[tuple[int, bool]] = []
    run, here = Tenfold(), Tenfold()

    def brief(_: Servable, count: int, alone: bool) -> bool:
        asked.append((count, alone))
        return alone

    batcher = Batcher(run, BatchLimits(), Recorder(), brief=brief, run_here=here)
    async with serving(batcher):
        for _ in range(3):
            await batcher.submit(MODEL, rows(1), soon())
        await asyncio.gather(*(batcher.submit(MODEL, rows(1, 2), soon()) for _ in range(2)))
        await batcher.submit(MODEL, rows(1), soon())
        await batcher.submit(MODEL, rows(1, 2, 3), soon())
    assert asked == [(1, False), (1, True), (1, True), (4, False), (1, False), (3, True)]
    assert (run.batches, here.batches) == ([1, 4, 1], [1, 1, 3])
