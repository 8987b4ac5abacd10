"""Runs one function in a process of its own that may use so much, write there alone, and reach nobody."""

import logging
import multiprocessing
import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

from .confine import Limits, confine

log = logging.getLogger("unisono.loading")

_LOOK_SECS = 0.1
_UNCONFINED = "unconfined.txt"
_FOLDERS = ("TMPDIR", "HOME", "KERAS_HOME", "XDG_CACHE_HOME")


def run(
    work: Callable[..., None],
    arguments: Sequence[object],
    folder: Path,
    limits: Limits,
    *,
    what: str = "conversion",
) -> str:
    """Call `work` with `arguments` in a new process that may write below `folder`; return how it ended."""
    # Spawned: a fork would take over locks that threads of this process hold.
    child = multiprocessing.get_context("spawn").Process(
        target=_begin, args=(work, tuple(arguments), str(folder), limits), daemon=True
    )
    child.start()
    ended = f"the {what} {_watch(child, limits)}"
    with suppress(FileNotFoundError):
        log.warning("models are loaded less confined: %s", (folder / _UNCONFINED).read_text())
    return ended


def _watch(child: BaseProcess, limits: Limits) -> str:
    """Wait for the child and return how it ended; one that takes more than its limits is killed."""
    deadline = time.monotonic() + limits.seconds
    reason = None
    while reason is None and child.is_alive():
        child.join(_LOOK_SECS)
        if _resident(child.pid or 0) > limits.memory:
            reason = f"took over {limits.memory / 2**30:.3g} GiB of memory"
        elif time.monotonic() > deadline:
            reason = f"took over {limits.seconds:g} s"
    if reason is None or not child.is_alive():
        child.join()
        return f"ended with exit code {child.exitcode}"
    child.kill()
    child.join()
    return f"{reason} and was stopped"


def _resident(process: int) -> int:
    """Return the bytes of memory that a process holds; 0 where that can't be told."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _begin(work: Callable[..., None], arguments: tuple[object, ...], folder: str, limits: Limits) -> None:
    """Confine this process, then do the work. Runs in the child."""
    # Whoever asks for a temporary place is to get one where writing is allowed.
    os.environ.update(dict.fromkeys(_FOLDERS, folder))
    # There is no network here: libraries that try a socket to find out, as urllib3 on its import, needn't.
    socket.has_ipv6 = False
    reason = confine(Path(folder), limits)
    if reason is not None:
        (Path(folder) / _UNCONFINED).write_text(reason)
    work(*arguments)
