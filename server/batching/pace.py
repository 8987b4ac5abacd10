"""How fast rows have been scored lately, and so how long those that come now will wait."""

# How much of what is known each batch leaves: the last ten or so count.
KEPT = 0.9


class Pace:
    """Seconds for a row, over the last batches, each by its rows. Knows no clock."""

    def __init__(self) -> None:
        self._rows = 0.0
        self._seconds = 0.0

    def note(self, rows: int, seconds: float) -> None:
        """Count a batch of `rows` that took `seconds`."""
        self._rows = self._rows * KEPT + rows
        self._seconds = self._seconds * KEPT + seconds

    def seconds_for(self, rows: int) -> float:
        """Return how long `rows` will take; 0 while nothing is known."""
        return rows * self._seconds / self._rows if self._rows else 0.0
