"""What an RPC method knows about the call beside its message: nothing of gRPC."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from ensemble.errors import DeadlineError

# How exactly deadlines are kept, and how much of it the loop's timers may be early.
GRAIN_SECS = 0.01
EARLY_SECS = 0.002


@dataclass(slots=True)
class Call:
    """One call. Methods read the deadline and the metadata, and note which version answered."""

    deadline: float  # on the event loop's clock, in seconds
    metadata: Mapping[str, str] = field(default_factory=dict)
    authorization: str = field(default="", repr=False)  # the header of that name, which metadata lacks
    # For the metrics. Empty until a served model was found, so that names made up by clients never
    # become metric labels.
    model: str = ""
    version: str = ""

    def answered_by(self, model: str, version: int) -> None:
        """Note the model that was found and the version of it that answers."""
        self.model, self.version = model, str(version)


class Watched(Protocol):
    """What a deadline ends."""

    @property
    def moment(self) -> int:
        """When, as `moment` counts it."""
        ...

    def end(self) -> None:
        """End it."""
        ...


class Deadlines:
    """Ends blocks at their deadlines: the timers of one event loop, one for all that end in the same moment.

    A timer for each call, as asyncio.timeout has, costs more than anything else of a call that is answered
    at once. Blocks end up to `GRAIN_SECS` late, and what timers may be early, but never early themselves.
    """

    __slots__ = ("_due", "_loop")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due: dict[int, set[Watched]] = {}

    def until(self, deadline: float) -> "Until":
        """Return a block that ends at `deadline`, on the loop's clock, with DeadlineError."""
        return Until(self, moment(deadline))

    def add(self, block: Watched) -> None:
        """Watch a block, or what else ends at its moment."""
        due = self._due.get(block.moment)
        if due is None:
            due = self._due[block.moment] = set()
            self._loop.call_at(block.moment * GRAIN_SECS, self._end, block.moment)
        due.add(block)

    def remove(self, block: Watched) -> None:
        """Watch it no more."""
        due = self._due.get(block.moment)
        if due is not None:
            due.discard(block)

    def _end(self, moment: int) -> None:
        for block in self._due.pop(moment, ()):
            block.end()


def late() -> DeadlineError:
    """Say that a deadline has passed."""
    return DeadlineError("deadline passed before the scores were there")


def moment(deadline: float) -> int:
    """Return when to end what has this deadline, counted in grains of the loop's clock."""
    return int((deadline + EARLY_SECS) / GRAIN_SECS) + 1


class Until:
    """A block that its deadline ends, as `Deadlines` makes it."""

    __slots__ = ("_cancelled_before", "_deadlines", "_late", "_task", "moment")

    def __init__(self, deadlines: Deadlines, moment: int) -> None:
        self.moment = moment
        self._deadlines = deadlines
        self._late = False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - what is awaited runs in one
        self._task, self._cancelled_before = task, task.cancelling()
        self._deadlines.add(self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._deadlines.remove(self)
        # Only if it was this limit alone that ended the block.
        if self._late and self._task.uncancel() <= self._cancelled_before and kind is asyncio.CancelledError:
            raise late() from error

    def end(self) -> None:
        """End the block."""
        self._late = True
        self._task.cancel()
