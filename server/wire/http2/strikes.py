"""Counts what costs us more than who sends it: calls given up, pings, settings, frames of no use."""

from .frames import Code, Http2Error

# In one second.
MOST_STRIKES = 4000


class Strikes:
    """One connection's."""

    def __init__(self) -> None:
        self._count = 0

    def add(self, weight: int = 1) -> None:
        """Count one, or one that costs as much as several; Http2Error if it is one too many."""
        self._count += weight
        if self._count > MOST_STRIKES:
            raise Http2Error(Code.ENHANCE_YOUR_CALM, "too many frames that ask for nothing")

    def forgive(self) -> None:
        """Begin anew. Called about once a second."""
        self._count = 0
