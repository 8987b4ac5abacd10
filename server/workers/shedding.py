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

EVERY_SECS = 0.05
# What Envoy refused is asked for after so many looks: nobody waits for it.
COUNT_AFTER = 20
# How much of what is known each look leaves: the last half second or so counts.
KEPT = 0.9
# So much more than is taken comes through, and so many calls a look in any case: who is turned away here is
# told from how many come, and a share of none would never be known to be too large.
MORE, ANYWAY = 1.25, 0.5
# With fewer refusals than this in what is known, Python may as well refuse them all: two hundred a second
# cost it 30 ms of a core, and a few calls refused one after another are no overload.
WORTH = 100
# After a look that saw no refusal so many times more come through.
OPENING = 1.25
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
        share = 1 - wanted / self._offered if self._offered > max(wanted, self._taken + WORTH) else 0.0
        most = MOST_PERCENT if refused else max(100 - OPENING * (100 - self.percent), 0)
        self.percent = int(min(100 * share, most))
        return self.percent


async def keep_shedding(admission: Admission, admin: Path) -> None:
    """Have Envoy, whose admin socket this is, refuse what it should, and count it, until cancelled."""
    shedding, counting = Shedding(), _Counting(admission, admin)
    told = -1  # nothing yet: what a worker before this one said may still hold
    came, turned_away = admission.asked, admission.turned_away
    while True:
        await asyncio.sleep(EVERY_SECS)
        percent = shedding.note(admission.asked - came, admission.turned_away - turned_away)
        came, turned_away = admission.asked, admission.turned_away
        try:
            if percent != told:
                await asyncio.to_thread(shed_calls, admin, percent)
                told = percent
            await counting.look(sheds=told > 0)
        except OSError as error:
            # Then the server refuses them by itself, and asks again in a moment.
            log.debug("Envoy didn't hear how many calls to refuse: %s", error)
            shedding.percent = max(told, 0)


class _Counting:
    """Counts what Envoy refuses, now and then while it does, and once after."""

    def __init__(self, admission: Admission, admin: Path) -> None:
        self._admission, self._admin = admission, admin
        self._counted = 0
        self._looks = 0  # since the last count, while there is something to count

    async def look(self, *, sheds: bool) -> None:
        if not sheds and not self._looks:
            return
        self._looks += 1
        if self._looks >= COUNT_AFTER:
            so_far = await asyncio.to_thread(shed_so_far, self._admin)
            self._admission.shed(so_far - self._counted)
            self._counted, self._looks = so_far, 0
