"""Whether so many calls are refused that what they bring had better not be sent. Knows no clock.

Reading a message only to throw it away takes several times what refusing its call does. So while most calls
are refused, clients may send only the beginning of a call before it is taken; those that are taken wait for
word of that, once there and back.
"""

EVERY_SECS = 0.05
# How much of what is known each look leaves: the last half second or so counts.
KEPT = 0.9
# Fewer refusals than this in what is known are not worth that those who are taken wait longer.
WORTH = 50.0
# With no more of them the crowd has gone.
FEW = 5.0


class Crowding:
    """The decision, from what came and what of it was refused, a look at a time."""

    def __init__(self) -> None:
        self.narrow = False  # whether clients may send but little of a call
        self._came = 0.0
        self._refused = 0.0

    def note(self, came: int, refused: int) -> bool:
        """Take note of the calls that came since the last look, and of those refused; return `narrow`."""
        self._came = self._came * KEPT + came
        self._refused = self._refused * KEPT + refused
        if self.narrow:
            self.narrow = self._refused > FEW
        else:
            self.narrow = self._refused >= WORTH and self._refused > self._came / 2
        return self.narrow
