"""How many of the calls for scores Envoy refuses by itself, before Python hears of them.

Refusing a call in Python takes several times what Envoy needs for it: of ten times what the members can
answer, the refusals alone would take a core. So while many calls are refused, Envoy is told to refuse a share
of them, at random, and the server judges the rest one by one as ever.
"""

import asyncio
import logging
from pathlib import Path

from server.wire.admission import Admission

from .envoy_admin import shed_calls, shed_so_far

log = logging.getLogger("unisono.workers")

EVERY_SECS = 0.1
# How much of what is known each look leaves: the last half second or so counts.
KEPT = 0.8
# So much more than is taken comes through, and so many calls a look in any case: who is turned away here is
# told from how many come, and a share of none would never be known to be too large.
MORE, ANYWAY = 1.25, 1.0
# After a look that saw no refusal so many times more come through.
OPENING = 1.5
MOST_PERCENT = 99


class Shedding:
    """The share, from what came through and what of it was refused. Knows no clock."""

    def __init__(self) -> None:
        self.percent = 0
        self._offered = 0.0  # calls, before any were refused
        self._taken = 0.0
        self._anyway = 0.0

    def note(self, came: int, refused: int) -> int:
        """Take note of the calls that came through since the last look; return the percent to refuse now."""
        self._offered = self._offered * KEPT + came * 100 / (100 - self.percent)
        self._taken = self._taken * KEPT + came - refused
        self._anyway = self._anyway * KEPT + ANYWAY
        wanted = self._taken * MORE + self._anyway
        share = 1 - wanted / self._offered if self._offered > wanted else 0.0
        most = MOST_PERCENT if refused else max(100 - OPENING * (100 - self.percent), 0)
        self.percent = round(min(100 * share, most))
        return self.percent


async def keep_shedding(admission: Admission, admin: Path) -> None:
    """Have Envoy, whose admin socket this is, refuse what it should, and count it, until cancelled."""
    shedding, told, counted = Shedding(), 0, 0
    came, turned_away = admission.asked, admission.turned_away
    while True:
        await asyncio.sleep(EVERY_SECS)
        was_shedding = told
        percent = shedding.note(admission.asked - came, admission.turned_away - turned_away)
        came, turned_away = admission.asked, admission.turned_away
        try:
            if percent != told:
                await asyncio.to_thread(shed_calls, admin, percent)
                told = percent
            if told or was_shedding:
                so_far = await asyncio.to_thread(shed_so_far, admin)
                admission.shed(so_far - counted)
                counted = so_far
        except OSError as error:
            # Then the server refuses them by itself, and asks again in a moment.
            log.debug("Envoy didn't hear how many calls to refuse: %s", error)
            shedding.percent = told
