"""Who gets what of which batch."""

import asyncio
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble.member import Rows, Scores
from ensemble.servable import Scored, Servable
from server.batching.batch_queue import BatchLimits
from server.batching.batcher import Batcher
from tests.server.batching.batchers import MODEL, Tenfold, rows, scores_of, serving, soon
from tests.support import clock
from tests.support.observers import Recorder


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
