import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble.errors import DeadlineError, EnsembleError, MemberError, OverloadedError, UnavailableError
from ensemble.member import Rows, Scores
from ensemble.servable import Scored, Servable
from server.batching.batch_queue import BatchLimits
from server.batching.batcher import Batcher
from server.batching.pace import ENOUGH
from server.telemetry.statistics import BatchTimes
from tests.support import clock
from tests.support.members import Constant, servable
from tests.support.observers import Recorder

MODEL = servable(Constant("a"))


def rows(*values: float) -> Rows:
    return {"x": np.array([[v] for v in values], dtype=np.float32)}


@asynccontextmanager
async def serving(batcher: Batcher) -> AsyncIterator[Batcher]:
    task = asyncio.create_task(batcher.serve())
    try:
        yield batcher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Tenfold:
    """Multiplies by ten, once `gate` is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.batches: list[int] = []

    async def __call__(self, _: Servable, batch: Rows, _count: int) -> Scored:
        self.batches.append(len(batch["x"]))
        await self.gate.wait()
        scores: Scores = batch["x"] * 10
        return Scored(scores, {"a": scores + 1}, {"a": 0.25})


async def scores_of(batcher: Batcher, model: Servable, batch: Rows, deadline: float) -> Scores:
    return (await batcher.submit(model, batch, deadline)).scores


def soon(seconds: float = 5.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_a_batch_is_filled_up_to_an_allowed_size_and_callers_get_their_own_rows_alone() -> None:
    asked: list[tuple[int, int]] = []

    async def run(_: Servable, batch: Rows, count: int) -> Scored:
        asked.append((len(batch["x"]), count))
        return Scored(batch["x"] * 10, {"a": batch["x"] + 1})

    model = replace(MODEL, max_batch_size=4, batch_sizes=(1, 4))
    async with serving(Batcher(run, BatchLimits(max_queue_delay=0.05), Recorder())) as batcher:
        one, two, many = await asyncio.gather(
            batcher.submit(model, rows(1), soon()),
            batcher.submit(model, rows(2, 3), soon(), members=True),
            batcher.submit(model, rows(4, 5, 6, 7, 8, 9), soon()),
        )

    assert asked == [(4, 3), (4, 4), (4, 2)]
    assert one.scores.tolist() == [[10]]
    assert two.scores.tolist() == [[20], [30]]
    assert two.by_member["a"].tolist() == [[3], [4]]
    assert many.scores.tolist() == [[40], [50], [60], [70], [80], [90]]


async def test_each_caller_gets_its_own_rows_from_one_batch() -> None:
    run, told = Tenfold(), Recorder()
    limits = BatchLimits(max_batch_size=4, max_queue_delay=0.05)
    async with serving(Batcher(run, limits, told)) as batcher:
        first, second = await asyncio.gather(
            scores_of(batcher, MODEL, rows(1, 2), soon()), scores_of(batcher, MODEL, rows(3, 4), soon())
        )
    assert run.batches == [4]
    assert first.ravel().tolist() == [10, 20]
    assert second.ravel().tolist() == [30, 40]
    [(model, size, waited)] = told.of("batched")
    assert (model, size, len(waited)) == ("digits", 4, 2)


async def test_what_arrives_while_a_batch_runs_forms_the_next_one() -> None:
    run = Tenfold()
    run.gate.clear()
    async with serving(Batcher(run, BatchLimits(max_batch_size=8), Recorder())) as batcher:
        calls = [asyncio.create_task(scores_of(batcher, MODEL, rows(0), soon()))]
        while not run.batches:
            await asyncio.sleep(0)
        calls += [asyncio.create_task(scores_of(batcher, MODEL, rows(i), soon())) for i in (1, 2, 3)]
        await asyncio.sleep(0)
        run.gate.set()
        answers = await asyncio.gather(*calls)
    assert run.batches == [1, 3]
    assert [answer.item() for answer in answers] == [0, 10, 20, 30]


async def test_two_batches_run_side_by_side_where_that_is_allowed() -> None:
    run = Tenfold()
    run.gate.clear()
    batcher = Batcher(run, BatchLimits(max_batch_size=1), Recorder(), max_in_flight=2)
    async with serving(batcher):
        calls = [asyncio.create_task(scores_of(batcher, MODEL, rows(i), soon())) for i in range(3)]
        while len(run.batches) < 2:
            await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        assert run.batches == [1, 1]
        run.gate.set()
        await asyncio.gather(*calls)
    assert run.batches == [1, 1, 1]


async def test_a_request_larger_than_a_batch_is_run_in_several_and_answered_as_one() -> None:
    run = Tenfold()
    async with serving(Batcher(run, BatchLimits(max_batch_size=2), Recorder())) as batcher:
        scored = await batcher.submit(MODEL, rows(1, 2, 3, 4, 5), soon(), members=True)
    assert run.batches == [2, 2, 1]
    assert scored.scores.ravel().tolist() == [10, 20, 30, 40, 50]
    assert scored.by_member["a"].ravel().tolist() == [11, 21, 31, 41, 51]


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


async def test_rows_of_different_shapes_are_not_put_in_one_array() -> None:
    run = Tenfold()
    limits = BatchLimits(max_batch_size=8, max_queue_delay=0.01)
    async with serving(Batcher(run, limits, Recorder())) as batcher:
        wide: Rows = {"x": np.array([[1, 2]], dtype=np.float32)}
        await asyncio.gather(
            scores_of(batcher, MODEL, rows(1), soon()),
            scores_of(batcher, MODEL, wide, soon()),
            scores_of(batcher, MODEL, rows(3), soon()),
        )
    assert sorted(run.batches) == [1, 2]


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


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.booleans(), st.integers(0, 3)),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 3),
)
def test_every_caller_gets_exactly_its_own_rows_whatever_its_neighbours_do(
    callers: list[tuple[int, bool, int]], in_flight: int
) -> None:
    """Callers of 1 to 40 rows arrive in steps; some go away; the rest get their own rows times ten."""

    async def main() -> None:
        run = Tenfold()
        limits = BatchLimits(max_batch_size=64, max_queue_delay=0.01)
        async with serving(Batcher(run, limits, Recorder(), max_in_flight=in_flight)) as batcher:

            async def call(index: int, count: int, arrives: int) -> Scores:
                await asyncio.sleep(arrives * 0.005)
                return await scores_of(batcher, MODEL, rows(*range(index * 100, index * 100 + count)), soon())

            calls = [
                asyncio.create_task(call(index, count, arrives))
                for index, (count, _, arrives) in enumerate(callers)
            ]
            await asyncio.sleep(0.006)
            for task, (_, goes, _) in zip(calls, callers, strict=True):
                if goes:
                    task.cancel()
            results = await asyncio.gather(*calls, return_exceptions=True)
        for index, (count, goes, _) in enumerate(callers):
            result = results[index]
            if isinstance(result, asyncio.CancelledError):
                assert goes
            else:
                assert isinstance(result, np.ndarray)
                assert result.ravel().tolist() == [(index * 100 + i) * 10 for i in range(count)]

    clock.run(main())


async def test_only_a_caller_that_asks_gets_its_own_rows_of_each_members_scores() -> None:
    limits = BatchLimits(max_batch_size=3, max_queue_delay=0.05)
    async with serving(Batcher(Tenfold(), limits, Recorder())) as batcher:
        plain, curious = await asyncio.gather(
            batcher.submit(MODEL, rows(1, 2), soon()), batcher.submit(MODEL, rows(3), soon(), members=True)
        )
    assert dict(plain.by_member) == {}
    assert {name: scores.tolist() for name, scores in curious.by_member.items()} == {"a": [[31.0]]}


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
            # Two batches wait and one runs, of two rows each.
            assert batcher.expected_wait() == 6.0
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

    batcher = Batcher(run, BatchLimits(max_batch_size=1), Recorder(), brief=lambda _, count: count == 1)
    async with serving(batcher):
        await asyncio.gather(*map(ask, (1, 2, 3)))
    assert answered == [10, 20, 30]
