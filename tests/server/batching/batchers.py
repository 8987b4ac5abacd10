"""A batcher that runs for as long as a block, engines to give it, and rows to submit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np

from ensemble.member import Rows, Scores
from ensemble.servable import Scored, Servable
from server.batching.batcher import Batcher
from tests.support.members import Constant, servable

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
