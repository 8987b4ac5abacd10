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
# Between two looks at the same connection. A refusal must be there within ten milliseconds.
REST_SECS = 0.003


class Crowd:
    """Sees it come and go, by what is asked of `admission` and refused. Used on the event loop."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._crowding = Crowding()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._seen = 0, 0  # calls that came, and those refused
        self._resting: list[Line] = []

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

    def was_read(self, line: Line) -> None:
        """Read `line` no more for a moment, if there is a crowd: then with all others."""
        if not self.narrow:
            return
        line.rest(resting=True)
        self._resting.append(line)
        if len(self._resting) == 1:
            self._loop.call_later(REST_SECS, self._wake)

    def _wake(self) -> None:
        resting, self._resting = self._resting, []
        for line in resting:
            line.rest(resting=False)
