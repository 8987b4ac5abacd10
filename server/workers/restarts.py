"""How long to wait before a worker that ended is replaced. A pure rule: `supervisor` does the waiting."""

FIRST_PAUSE_SECS = 0.1
LONGEST_PAUSE_SECS = 30.0
# A worker that served for so long had nothing wrong with it from the start.
STEADY_SECS = 60.0


def next_pause(lived_secs: float, last_pause_secs: float) -> float:
    """Say how long to wait: twice as long each time, but for a worker that lived long."""
    if lived_secs >= STEADY_SECS or last_pause_secs <= 0:
        return FIRST_PAUSE_SECS
    return min(2 * last_pause_secs, LONGEST_PAUSE_SECS)
