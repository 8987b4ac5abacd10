"""Whether so many calls are refused that what they bring had better not be sent. Knows no clock.

Reading a message only to throw it away takes several times what refusing its call does. So while most calls
are refused, clients may send only the beginning of a call before it is taken; those that are taken wait for
word of that, once there and back.
"""

# How much of what is known each look leaves: with twenty a second the last half second or so counts.
KEPT = 0.9
# Fewer refusals than this in what is known are not worth that those who are taken wait longer.
WORTH = 50.0
# It is over when so many looks in a row saw no refusal, or when it is so small a share of those who come.
QUIET, SMALL = 5, 1 / 8


class Crowding:
    """The decision, from what came and what of it was refused, a look at a time."""

    def __init__(self) -> None:
        self.narrow = False  # whether clients may send but little of a call
        self._came = 0.0
        self._refused = 0.0
        self._quiet = 0

    def note(self, came: int, refused: int) -> bool:
        """Take note of the calls that came since the last look, and of those refused; return `narrow`."""
        self._came = self._came * KEPT + came
        self._refused = self._refused * KEPT + refused
        self._quiet = 0 if refused else self._quiet + 1
        if not self.narrow:
            self.narrow = self._refused >= WORTH and self._refused > self._came / 2
        elif self._quiet >= QUIET or self._refused < self._came * SMALL:
            self.narrow, self._came, self._refused = False, 0.0, 0.0
        return self.narrow
