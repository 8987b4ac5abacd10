"""Streams that nobody answers yet: those that may begin, and those that wait until their request is whole.

A call whose request is there as a whole may need no task. Most requests come in a read or two; only for one
that takes longer, or is large, a task waits.
"""

import asyncio

from .stream import CallStream
from .taker import Taker

# For so long a call is believed to be on its way. Admission keeps room for it a little longer.
PATIENCE_SECS = 0.03
# Of a request this large the client is to be told soon that there is room for more.
LARGE_BYTES = 2**18
# A timer may be as much early.
EARLY_SECS = 0.002


class Starts:
    """Those of one port. Used on the event loop."""

    def __init__(self, taker: Taker) -> None:
        self._taker = taker
        self._loop = asyncio.get_running_loop()
        self._ready: list[CallStream] = []
        self._coming: dict[CallStream, float] = {}  # since when, the longest first
        self._timer: asyncio.TimerHandle | None = None

    def add(self, stream: CallStream) -> None:
        """Take a stream that begins."""
        if stream.ended or not self._taker.wants_all(stream.head):
            self._ready.append(stream)
            return
        self._coming[stream] = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(PATIENCE_SECS, self._look)

    def fed(self, stream: CallStream) -> None:
        """Take note that more has come of a stream's request."""
        if (stream.ended or stream.size > LARGE_BYTES) and self._coming.pop(stream, None) is not None:
            self._ready.append(stream)

    def remove(self, stream: CallStream) -> None:
        """Forget a stream that was given up."""
        self._coming.pop(stream, None)

    def begin(self) -> None:
        """Have those answered that may begin."""
        ready, self._ready = self._ready, []
        for stream in ready:
            if not stream.gone:
                stream.begin(self._taker)

    def _look(self) -> None:
        """Begin with those that came too long ago, and look again when the next has."""
        self._timer, now = None, self._loop.time()
        for stream, since in list(self._coming.items()):
            left = since + PATIENCE_SECS - now
            if left > EARLY_SECS:
                self._timer = self._loop.call_later(left, self._look)
                break
            del self._coming[stream]
            self._ready.append(stream)
        self.begin()
