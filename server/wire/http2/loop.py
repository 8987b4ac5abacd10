"""The event loop under our own HTTP/2: uvloop, which reads and writes sockets in a fraction of the time."""

from time import monotonic

import uvloop


class Loop(uvloop.Loop):
    """uvloop, by a clock that tells less than a millisecond, as asyncio's own loop does.

    Its timers still go by milliseconds: one may be up to two early.
    """

    time = staticmethod(monotonic)
