import asyncio

import pytest

from ensemble.errors import DeadlineError
from server.wire.call import EARLY_SECS, GRAIN_SECS, Deadlines
from tests.support import clock


def test_a_block_ends_at_its_deadline_and_never_early() -> None:
    async def wait() -> list[float]:
        deadlines, loop, ends = Deadlines(), asyncio.get_running_loop(), list[float]()

        async def block(seconds: float) -> None:
            with pytest.raises(DeadlineError, match="deadline passed before the scores were there"):
                async with deadlines.until(loop.time() + seconds):
                    await asyncio.Event().wait()
            ends.append(loop.time())

        await asyncio.gather(*map(block, (1.003, 1.004, 2.5, -1)))
        return ends

    ends, _ = clock.run(wait())
    for end, deadline in zip(ends, (0, 1.003, 1.004, 2.5), strict=True):
        assert deadline <= end <= deadline + GRAIN_SECS + EARLY_SECS + 1e-9


async def test_a_block_that_ends_in_time_is_left_alone() -> None:
    deadlines, loop = Deadlines(), asyncio.get_running_loop()
    async with deadlines.until(loop.time() + GRAIN_SECS):
        pass
    await asyncio.sleep(3 * GRAIN_SECS)


async def test_who_is_cancelled_for_another_reason_hears_that() -> None:
    deadlines, began = Deadlines(), asyncio.Event()

    async def block() -> None:
        async with deadlines.until(asyncio.get_running_loop().time() + 60):
            began.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_in_the_block_is_told_as_it_is() -> None:
    with pytest.raises(KeyError):
        async with Deadlines().until(asyncio.get_running_loop().time() + 60):
            raise KeyError
