"""Which cores a server and its load generator have, and who else uses them."""

import contextlib
import os
from pathlib import Path

from peers.processes import family


def cores() -> tuple[set[int], set[int]]:
    """Return the server's cores and the generator's: the last one, where there are two."""
    everything = sorted(os.sched_getaffinity(0))
    return set(everything[:-1] or everything), set(everything[-1:])


def busy_secs() -> float:
    """Return for how long this machine's cores have been busy, all together."""
    user, nice, system, _idle, _waiting, *others = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK")


def go_first(pid: int) -> None:
    """Let this process and its descendants have their cores before whatever else runs, where that is allowed.

    Linux shares cores out between sessions first (autogroups), so that nice values say nothing about others'.
    """
    for stat in family(pid):
        with contextlib.suppress(OSError):
            Path(f"/proc/{stat.pid}/autogroup").write_text("-20")


def left_of_capacity(calm: float, storm: float) -> float:
    """Return the share of its capacity that a server can have beside a generator that takes so many cores.

    They share all there are; the capacity was measured while the generator took `calm` of them.
    """
    everything = len(os.sched_getaffinity(0))
    return max(everything - storm, 0.01) / max(everything - calm, 0.01)
