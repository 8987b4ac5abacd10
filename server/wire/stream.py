"""One open stream: requests in, answers out in the requests' order, a bounded number at once."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import grpc

from .outcome import Outcome

# So many requests of one stream may be on their way, or so many bytes as one message may have; then it isn't
# read further, and the client feels it.
MAX_IN_FLIGHT = 64


class Messages(Protocol):
    """The two directions of a stream."""

    async def read(self) -> bytes | None:
        """Read the next message; None says that no more come."""
        ...

    async def write(self, data: bytes) -> None:
        """Send one message."""
        ...


class Stream:
    """Reads, has `answer` called for each request, and writes.

    A request that fails is answered like any other and the stream goes on; with `end_on_error` the stream
    ends there, with the request's code.
    """

    def __init__(
        self,
        messages: Messages,
        answer: Callable[[bytes], Awaitable[Outcome]],
        *,
        end_on_error: bool,
        max_bytes: int,
    ) -> None:
        self._messages = messages
        self._answer = answer
        self._end_on_error = end_on_error
        self._max_bytes = max_bytes
        # Of the requests whose answers aren't written, in their order.
        self._sizes: deque[int] = deque()
        self._written = asyncio.Event()
        # In the order of the requests; None says that no more come.
        self._answers: asyncio.Queue[asyncio.Task[Outcome] | None] = asyncio.Queue()
        self._reader: asyncio.Task[None] | None = None
        self.closed = False

    async def run(self) -> Outcome | None:
        """Serve until the client has no more requests or `close` is called; give the error that ended it."""
        async with asyncio.TaskGroup() as tasks:
            self._reader = tasks.create_task(self._read(tasks))
            # Not in the reader itself: one that is cancelled before it has begun runs none of its lines.
            self._reader.add_done_callback(lambda _: self._answers.put_nowait(None))
            if self.closed:
                self._reader.cancel()
            while (answer := await self._answers.get()) is not None:
                outcome = await answer
                if self._end_on_error and outcome.code is not grpc.StatusCode.OK:
                    self._give_up(self._reader)
                    return outcome
                await self._messages.write(outcome.data)
                self._sizes.popleft()
                self._written.set()
        return None

    def close(self) -> None:
        """Take no more requests; those taken are still answered."""
        self.closed = True
        if self._reader is not None:
            self._reader.cancel()

    async def _read(self, tasks: asyncio.TaskGroup) -> None:
        while (data := await self._messages.read()) is not None:
            await self._room(len(data))
            self._sizes.append(len(data))
            self._answers.put_nowait(tasks.create_task(self._outcome(data)))

    async def _room(self, size: int) -> None:
        """Wait until a request of `size` bytes fits beside those on their way; one alone always does."""
        while self._sizes and (
            len(self._sizes) >= MAX_IN_FLIGHT or sum(self._sizes) + size > self._max_bytes
        ):
            self._written.clear()
            await self._written.wait()

    async def _outcome(self, data: bytes) -> Outcome:
        return await self._answer(data)

    def _give_up(self, reader: asyncio.Task[None]) -> None:
        """Read no more, and cancel what waits to be written."""
        reader.cancel()
        while not self._answers.empty():
            answer = self._answers.get_nowait()
            if answer is not None:
                answer.cancel()
