"""Which batches are so brief that the event loop runs them itself: going to a thread and back takes longer.

To a thread and back are 0.2 to 0.5 ms of two cores (`benchmarks/call_path.py`); the three small nets of the
benchmarks take 0.1 ms. A caller that is alone is spared the way for longer batches too: nobody else has
anything to do with the loop, and who comes meanwhile would wait for the engine anyway. Knows no clock.
"""

from weakref import WeakKeyDictionary

from ensemble.servable import Servable

# Nothing else happens on the loop for so long; and where a caller is alone.
BRIEF_SECS, ALONE_SECS = 0.0005, 0.005
# How much of a slow batch is left after each that was quicker: one mishap is forgotten after some twenty.
KEPT = 0.9


class Brevity:
    """How long the last batches took, by servable and size to the next power of two."""

    def __init__(self, brief_secs: float = BRIEF_SECS) -> None:
        self._brief_secs = brief_secs
        self._secs: WeakKeyDictionary[Servable, dict[int, float]] = WeakKeyDictionary()

    def brief(self, servable: Servable, rows: int, *, alone: bool = False) -> bool:
        """Whether a batch of so many rows, perhaps of the only caller, is over soon, as far as is known."""
        most = ALONE_SECS if alone else self._brief_secs
        return self._of(servable).get(rows.bit_length(), most) < most

    def note(self, servable: Servable, rows: int, secs: float) -> None:
        """Count a batch."""
        sizes, size = self._of(servable), rows.bit_length()
        sizes[size] = max(secs, KEPT * sizes.get(size, secs) + (1 - KEPT) * secs)

    def _of(self, servable: Servable) -> dict[int, float]:
        known = self._secs.get(servable)
        if known is None:
            known = self._secs[servable] = {}
        return known
