"""A server written by hand on FastAPI and uvicorn: raw float32 in and out, and batches of what waits.

    python -m peers.given.fastapi_server FOLDER PORT

What a careful engineer writes in an afternoon: the body is bytes, not JSON; the model runs on a thread of its
own; what came while it was busy is the next batch.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

import uvicorn
from fastapi import FastAPI, Request, Response

from peers.given.engine import MOST_ROWS, Engine, engines


class Batcher:
    """Runs an engine on everything that waits, whenever it is free."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1)
        self._waiting: list[tuple[bytes, asyncio.Future[bytes]]] = []
        self._running: asyncio.Task[None] | None = None

    async def score(self, body: bytes) -> bytes:
        """Return the scores of the rows in `body`."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append((body, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST_ROWS], self._waiting[MOST_ROWS:]
            try:
                answers = await loop.run_in_executor(
                    self._thread, self._engine.score_bytes, [body for body, _ in batch]
                )
            except Exception as error:  # noqa: BLE001 - whatever it is, the callers must hear of it
                for _, future in batch:
                    future.set_exception(error)
                continue
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
        self._running = None


def app(folder: str) -> FastAPI:
    """Make the application: `POST /ENSEMBLE`."""
    batchers = {name: Batcher(engine) for name, engine in engines(folder).items()}
    made = FastAPI()

    @made.post("/{ensemble}")  # type: ignore[untyped-decorator]
    async def score(ensemble: str, request: Request) -> Response:
        answer = await batchers[ensemble].score(await request.body())
        return Response(answer, media_type="application/octet-stream")

    return made


if __name__ == "__main__":
    uvicorn.run(
        app(sys.argv[1]),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
    )
