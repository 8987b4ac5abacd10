"""Which requests share a batch, and when the batch is due.

Rule 1: every decision about batching is made in this file.
Rule 2: this file never waits and never reads a clock. Time comes in as an argument,
so each rule has a plain test; `batcher` does the waiting.
Rule 3: only tickets of one key share a batch (one version of one model, rows of one shape);
between keys, the one whose first ticket has waited longest goes first.
Rule 4: a request is split over batches only if it is larger than one; all of it waits, or none. Tickets are
first in, first out within their key.
"""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ensemble.errors import InvalidRequestError, OverloadedError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What bounds a batch and the queue before it. Sizes are in rows, times in seconds."""

    max_batch_size: int = 64
    max_queue_delay: float = 0.0
    max_queue_size: int = 8192


@dataclass(slots=True, eq=False)  # not frozen: that would be a third of what submitting a request takes
class Ticket(Generic[T]):
    """The place in the queue of one request, or of a part of it. Never changed.

    `arrived` and `deadline` are on the same clock as `now`. `most` is how many rows a batch of this key may
    have, the same for all of them; 0 leaves it to the limits.
    """

    key: Hashable
    item: T
    rows: int
    arrived: float
    deadline: float
    most: int = 0


class BatchQueue(Generic[T]):
    """The requests that wait, and the rules by which they leave."""

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        # A key is here only while something of it waits.
        self._waiting: dict[Hashable, deque[Ticket[T]]] = {}
        self._rows_of: dict[Hashable, int] = {}
        self._rows = 0

    @property
    def rows(self) -> int:
        """How many rows wait."""
        return self._rows

    def parts(self, rows: int, most: int = 0) -> list[slice]:
        """Cut a request of so many rows into as few parts as batches of `most` can hold."""
        most = most or self._limits.max_batch_size
        return [slice(start, min(start + most, rows)) for start in range(0, max(rows, 1), most)]

    def offer(self, *tickets: Ticket[T]) -> None:
        """Take all `tickets` of one request in, or none and raise what its caller should hear."""
        limits, rows = self._limits, sum(ticket.rows for ticket in tickets)
        if rows > limits.max_queue_size:
            raise InvalidRequestError(
                f"request has {rows} rows; the queue holds {limits.max_queue_size}: send fewer rows"
            )
        if self._rows + rows > limits.max_queue_size:
            raise OverloadedError(
                f"Exceeds maximum queue size: {self._rows} rows wait, {limits.max_queue_size} may;"
                " retry with backoff"
            )
        for ticket in tickets:
            self._waiting.setdefault(ticket.key, deque()).append(ticket)
            self._count(ticket, +1)

    def withdraw(self, ticket: Ticket[T]) -> None:
        """Remove `ticket` if it still waits: its caller has gone."""
        tickets = self._waiting.get(ticket.key)
        if tickets is None or ticket not in tickets:
            return
        tickets.remove(ticket)
        self._count(ticket, -1)

    def due_at(self) -> float | None:
        """When the next batch should start; None while nothing waits."""
        return min((self._due_at(key) for key in self._waiting), default=None)

    def take(self, now: float) -> tuple[list[Ticket[T]], list[Ticket[T]]]:
        """Remove the next batch: the tickets to run, and those already past their deadline."""
        run: list[Ticket[T]] = []
        late: list[Ticket[T]] = []
        if not self._waiting:
            return run, late
        key = min(self._waiting, key=self._due_at)
        tickets, rows = self._waiting[key], 0
        most = self.most(tickets[0])
        while tickets:
            ticket = tickets[0]
            if ticket.deadline <= now:
                late.append(ticket)
            elif not run or rows + ticket.rows <= most:
                rows += ticket.rows
                run.append(ticket)
            else:
                break
            tickets.popleft()
            self._count(ticket, -1)
        return run, late

    def drain(self) -> list[Ticket[T]]:
        """Remove everything that waits."""
        drained = [ticket for tickets in self._waiting.values() for ticket in tickets]
        self._waiting.clear()
        self._rows_of.clear()
        self._rows = 0
        return drained

    def _due_at(self, key: Hashable) -> float:
        first = self._waiting[key][0]
        full = self._rows_of[key] >= self.most(first)
        return first.arrived if full else first.arrived + self._limits.max_queue_delay

    def most(self, ticket: Ticket[T]) -> int:
        """Return how many rows the batch of `ticket` may hold."""
        return ticket.most or self._limits.max_batch_size

    def _count(self, ticket: Ticket[T], sign: int) -> None:
        self._rows += sign * ticket.rows
        self._rows_of[ticket.key] = self._rows_of.get(ticket.key, 0) + sign * ticket.rows
        if not self._waiting[ticket.key]:
            del self._waiting[ticket.key], self._rows_of[ticket.key]
