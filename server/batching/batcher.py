"""Merges concurrent requests into batches and gives each caller its own rows back."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from ensemble.errors import DeadlineError, EnsembleError, UnavailableError
from ensemble.member import Rows, row_count
from ensemble.padding import cut, joined
from ensemble.servable import Scored, Servable
from server.telemetry.statistics import BatchTimes

from .batch_queue import BatchLimits, BatchQueue, Ticket
from .pace import Pace
from .promise import Promise

SHUTTING_DOWN = "server is shutting down"
# So long before a batch should end the next is laid out and waits at the engine's door: else the engine would
# wait for the loop, which first hands out the answers of the one before.
AHEAD_SECS = 0.002
# Of batches briefer than this the next would be taken as soon as one has begun, and be small.
BRIEF_SECS = 0.008


class Observer(Protocol):
    """Who is told of what the batcher did. Times are in seconds."""

    def queued(self, rows: int) -> None:
        """`rows` rows wait now."""
        ...

    def batched(self, model: str, rows: int, waited: Sequence[float]) -> None:
        """A batch of `rows` rows of `model` starts; its requests have waited this long."""
        ...

    def scored(self, model: str, version: int, times: BatchTimes) -> None:
        """A batch came to an end, and not by an error."""
        ...


class Pending(NamedTuple):
    """A caller's rows, whether it wants each member's scores too, and where the answer goes."""

    servable: Servable
    rows: Rows
    members: bool
    answer: Promise


Run = Callable[[Servable, Rows, int], Awaitable[Scored]]


class Batcher:
    """Waits for batches to fall due and hands them to `run`, `max_in_flight` at a time.

    `run` is given the rows and how many of them are callers': what is behind these only fills the batch up.
    `run_here` does the same without giving up the loop: for batches of which `brief` says so, of a servable,
    a number of rows, and whether their caller is the only one.

    While they run, what arrives waits and so forms the next batch: with no queue delay set,
    a batch is whatever waits when the engine is free or, where one runs at a time, is about to be. A
    caller that goes away only loses its own rows: each request carries its own future, and a future
    that is done is skipped, never looked up.
    """

    def __init__(
        self,
        run: Run,
        limits: BatchLimits,
        observer: Observer,
        *,
        max_in_flight: int = 1,
        brief: Callable[[Servable, int, bool], bool] = lambda _servable, _rows, _alone: False,
        run_here: Run | None = None,
    ) -> None:
        self._run, self._run_here = run, run_here or run
        self._brief = brief
        self._was_lone = False  # the batch before had one caller, and nobody waited
        self._queue: BatchQueue[Pending] = BatchQueue(limits)
        self._observer = observer
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self._running_rows = 0
        self._pace = Pace()
        self._freed_at = 0.0  # when the last batch ended, on the loop's clock
        self._busy_since = 0.0  # when the engine began what it runs
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def expected_wait(self, coming: int = 0) -> float:
        """Return in how many seconds, by the last batches' pace, rows that come now have their scores.

        `coming` rows will be in the queue before them. 0 where nothing waits: who comes then is next.
        """
        waiting = self._queue.rows + coming
        if not waiting:
            return 0.0
        # What runs is nearer to its end every moment: else room for a whole batch would be found at once.
        left = self._pace.wait_for(self._running_rows) - (self._loop.time() - self._busy_since)
        return self._pace.wait_for(waiting) + max(left, 0.0)

    async def submit(
        self, servable: Servable, rows: Rows, deadline: float, *, members: bool = False
    ) -> Scored:
        """Score `rows` on `servable` in a batch that starts before `deadline`, on the loop's clock.

        Each member's scores come along only where `members` asks for them. What is larger than a batch is
        run in several, all or none of them.
        """
        parts = self._queue.parts(row_count(rows), servable.max_batch_size)
        futures: list[asyncio.Future[Scored]] = [self._loop.create_future() for _ in parts]
        whole = len(parts) == 1
        tickets = [
            self._ticket(servable, rows if whole else cut(rows, part), deadline, answer, members=members)
            for part, answer in zip(parts, futures, strict=True)
        ]
        self._offer(*tickets)
        try:
            return await futures[0] if whole else put_together(await asyncio.gather(*futures))
        except BaseException:
            # Whatever ended the wait, nobody asks for what is left of the request.
            for ticket, future in zip(tickets, futures, strict=True):
                future.cancel()
                self._queue.withdraw(ticket)
            raise

    def begin(
        self, servable: Servable, rows: Rows, deadline: float, answer: Promise
    ) -> Callable[[], None] | None:
        """Do as `submit` for who is told by `answer`; return how to withdraw the rows.

        None if they are more than a batch: then nothing was done.
        """
        if len(self._queue.parts(row_count(rows), servable.max_batch_size)) > 1:
            return None
        ticket = self._ticket(servable, rows, deadline, answer)
        self._offer(ticket)
        return partial(self._queue.withdraw, ticket)

    def _ticket(
        self, servable: Servable, rows: Rows, deadline: float, answer: Promise, *, members: bool = False
    ) -> Ticket[Pending]:
        # Rows of different shapes can't lie in one array, so they can't share a batch.
        shapes = tuple([(name, array.shape[1:]) for name, array in rows.items()])
        if len(shapes) > 1:
            shapes = tuple(sorted(shapes))
        pending, now = Pending(servable, rows, members, answer), self._loop.time()
        return Ticket((servable, shapes), pending, row_count(rows), now, deadline, servable.max_batch_size)

    def _offer(self, *tickets: Ticket[Pending]) -> None:
        self._queue.offer(*tickets)
        self._observer.queued(self._queue.rows)
        self._changed.set()

    async def serve(self) -> None:
        """Run batches until cancelled; then nobody is left waiting."""
        try:
            await self._serve()
        finally:
            for ticket in self._queue.drain():
                settle(ticket.item.answer, UnavailableError(SHUTTING_DOWN))

    async def _serve(self) -> None:
        now = asyncio.get_running_loop().time
        async with asyncio.TaskGroup() as batches:
            while True:
                await self._wait_until_due()
                tickets, late = self._queue.take(now())
                self._observer.queued(self._queue.rows)
                for ticket in late:
                    settle(ticket.item.answer, DeadlineError("deadline passed while the request was queued"))
                if tickets:
                    await self._begin_batch(tickets, batches)

    async def _begin_batch(self, tickets: list[Ticket[Pending]], batches: asyncio.TaskGroup) -> None:
        self._in_flight += 1
        lone = len(tickets) == self._in_flight == 1 and not self._queue.rows
        # Of a crowd the first comes alone too.
        alone, self._was_lone = lone and self._was_lone, lone
        if self._brief(tickets[0].item.servable, sum(ticket.rows for ticket in tickets), alone):
            # Over before anything else could happen: a task of its own would only be later.
            await self._run_batch(tickets, self._run_here)
            # Now those go on who have their answers.
            await asyncio.sleep(0)
        else:
            batches.create_task(self._run_batch(tickets, self._run))

    async def _wait_until_due(self) -> None:
        now = asyncio.get_running_loop().time
        while (due := self._next_start()) is None or due > now():
            self._changed.clear()
            if due is None:
                await self._changed.wait()
                continue
            try:
                async with asyncio.timeout_at(due):
                    await self._changed.wait()
            except TimeoutError:
                return

    def _next_start(self) -> float | None:
        due = self._queue.due_at()
        if due is None or self._in_flight < self._max_in_flight:
            return due
        expected = self._pace.seconds_for(self._running_rows)
        # Side by side, nobody can say which batch ends first.
        if expected < BRIEF_SECS or not self._max_in_flight == self._in_flight == 1:
            return None
        return max(due, self._busy_since + expected - AHEAD_SECS)

    async def _run_batch(self, tickets: list[Ticket[Pending]], run: Run) -> None:
        batch = [ticket.item for ticket in tickets]
        servable, clock = batch[0].servable, asyncio.get_running_loop().time
        rows, begun = sum(ticket.rows for ticket in tickets), clock()
        waited = [begun - ticket.arrived for ticket in tickets]
        self._begin(rows, begun)
        self._observer.batched(servable.name, rows, waited)
        try:
            together = joined([pending.rows for pending in batch], servable.batch_sizes)
            ready = clock()
            scored = await run(servable, together, rows)
            ran = clock()
        except asyncio.CancelledError:
            for pending in batch:
                settle(pending.answer, UnavailableError(SHUTTING_DOWN))
            raise
        except Exception as error:  # noqa: BLE001 - every caller in the batch must hear of it
            for pending in batch:
                settle(pending.answer, own_copy(error))
        else:
            hand_out(scored, tickets)
            running = ran - max(ready, self._freed_at)
            times = BatchTimes(rows, waited, ready - begun, running, clock() - ran, scored.seconds)
            self._observer.scored(servable.name, servable.version, times)
        finally:
            self._end(tickets[0], rows, begun)

    def _begin(self, rows: int, now: float) -> None:
        self._running_rows += rows
        if self._in_flight == 1:
            self._busy_since = now

    def _end(self, first: Ticket[Pending], rows: int, begun: float) -> None:
        now = asyncio.get_running_loop().time()
        self._in_flight -= 1
        self._running_rows -= rows
        # One that was laid out ahead had the engine only when the one before was done.
        self._pace.note(rows, now - max(begun, self._freed_at), most=self._queue.most(first))
        self._freed_at = self._busy_since = now
        self._changed.set()


def put_together(parts: Sequence[Scored]) -> Scored:
    """Make one answer of the answers to a request's parts, in order.

    A member that one of them is without is not among the members of the whole.
    """
    missing = frozenset[str]().union(*(part.missing for part in parts))
    everywhere = [name for name in parts[0].by_member if all(name in part.by_member for part in parts)]
    by_member = {name: np.concatenate([part.by_member[name] for part in parts]) for name in everywhere}
    return Scored(np.concatenate([part.scores for part in parts]), by_member, missing=missing)


def hand_out(scored: Scored, tickets: Sequence[Ticket[Pending]]) -> None:
    """Give each caller its own rows of what the batch came to."""
    start = 0
    for ticket in tickets:
        own = slice(start, start + ticket.rows)
        start += ticket.rows
        asked = scored.by_member if ticket.item.members else {}
        by_member = {name: scores[own] for name, scores in asked.items()}
        settle(ticket.item.answer, Scored(scored.scores[own], by_member, missing=scored.missing))


def own_copy(error: Exception) -> Exception:
    """Copy `error`: one object raised in several tasks would tangle their tracebacks."""
    if not isinstance(error, EnsembleError):
        return error
    copy = type(error)(*error.args)
    copy.__cause__ = error
    return copy


def settle(future: Promise, outcome: Scored | Exception) -> None:
    """Give `future` its outcome, unless its caller has gone."""
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
