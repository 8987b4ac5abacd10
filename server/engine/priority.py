"""Lets the event loop go first where threads that compute want the same cores."""

import os
import sys
import threading

# A third of what the loop gets, where there isn't enough for both. Below it nothing is lost: cores that are
# free are free to all.
NICENESS = 5


def behind_the_loop() -> None:
    """Make this thread, and those that it starts, yield to the event loop's; only Linux can."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
