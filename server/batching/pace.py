"""How fast rows have been scored lately, and so how long those that come now will wait."""

from collections import deque

# How much of what is known each batch leaves: the last ten or so count.
KEPT = 0.9
# The wait is told from so many of the last batches, and not before there are as many: a server that just
# began, or lost the processor for a moment, knows nothing that it could refuse a crowd for.
ENOUGH = 9


class Pace:
    """Rows and seconds of the last batches, and how many rows these could have held. Knows no clock."""

    def __init__(self) -> None:
        self._rows = 0.0
        self._seconds = 0.0
        self._full: deque[float] = deque(maxlen=ENOUGH)
        self._usual = 0.0  # seconds a row of a full batch takes

    def note(self, rows: int, seconds: float, *, most: int) -> None:
        """Count a batch of `rows`, of `most` that it could have held, which took `seconds`."""
        self._rows = self._rows * KEPT + rows
        self._seconds = self._seconds * KEPT + seconds
        self._full.append(seconds / max(rows, most))
        if len(self._full) == ENOUGH:
            self._usual = sorted(self._full)[ENOUGH // 2]

    def seconds_for(self, rows: int) -> float:
        """Return how long a batch of `rows` like the last ones will take; 0 while nothing is known."""
        return rows * self._seconds / self._rows if self._rows else 0.0

    def wait_for(self, rows: int) -> float:
        """Return how long `rows` that wait will take at the least; 0 while too little is known.

        In full batches, each as long as the last ones were: a row in a full batch takes a fraction of what
        it takes alone, so after a quiet hour a crowd would else be expected to wait many times as long as
        it will. The middle one of the last batches counts: one that was held up says nothing of the next.
        """
        return rows * self._usual
