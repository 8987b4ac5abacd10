"""What is done while most calls are refused: little is sent of a call, and all clients are read at once.

To be woken for every call, one by one, takes several times what refusing it does, and takes it from those who
compute. Few milliseconds later many lie there.
"""

import asyncio
from collections.abc import Callable

from ..admission import Admission
from .crowding import Crowding
from .line import Line

EVERY_SECS = 0.05
# Between two looks at what has come. A refusal must be there within ten milliseconds.
REST_SECS = 0.003
# With more connections, telling them to rest would take longer than they rest for.
MOST_RESTING = 128


class Crowd:
    """Sees it come and go, by what is asked of `admission` and refused. Used on the event loop."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._crowding = Crowding()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._seen = 0, 0  # calls that came, and those refused
        self._lines: set[Line] = set()
        self._rests = False

    @property
    def narrow(self) -> bool:
        """Whether clients may send but little of a call before it is taken."""
        return self._crowding.narrow

    def watch(self, turned: Callable[[], None]) -> None:
        """Look from now on, and call `turned` whenever `narrow` is another."""
        (came, refused), before = self._seen, self.narrow
        self._seen = self._admission.asked, self._admission.turned_away
        if self._crowding.note(self._seen[0] - came, self._seen[1] - refused) != before:
            turned()
        self._timer = self._loop.call_later(EVERY_SECS, self.watch, turned)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def join(self, line: Line) -> None:
        """Look after a line, until `part`."""
        self._lines.add(line)

    def part(self, line: Line) -> None:
        """Look after it no more."""
        self._lines.discard(line)

    def was_read(self) -> None:
        """Read nobody for a moment, if there is a crowd, once those are read whose bytes are here by now."""
        if self.narrow and not self._rests and len(self._lines) <= MOST_RESTING:
            self._rests = True
            self._loop.call_soon(self._rest)

    def _rest(self) -> None:
        for line in self._lines:
            line.rest(resting=True)
        self._loop.call_later(REST_SECS, self._wake)

    def _wake(self) -> None:
        self._rests = False
        for line in self._lines:
            line.rest(resting=False)
