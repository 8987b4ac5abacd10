"""A system under test as a tree of processes: started, put to sleep while others are measured, ended.

What a system costs is the processor time of its whole tree, children that have ended included.
"""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

STOP_SECS = 15.0
POLL_SECS = 0.1
TICKS = os.sysconf("SC_CLK_TCK")


class StartError(Exception):
    """A system did not get ready: why, in a line."""


class WrongError(Exception):
    """A system answered other scores than the right ones."""


@dataclass(frozen=True)
class Stat:
    """What /proc says of one process; seconds of processor time with those of its ended children."""

    pid: int
    parent: int
    session: int
    cpu_secs: float


class Tree:
    """A command and everything it starts, from its start until `stop`."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        environment: dict[str, str],
        folder: Path,
        talks: bool = False,
        sleeps: bool = True,
    ) -> None:
        """Start `command` in `folder`, what it prints in `log`; `talks`: its standard streams are ours."""
        self._sleeps = sleeps
        self.log = log
        self._handle = log.open("wb")
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
            stdout=subprocess.PIPE if talks else self._handle,
            stderr=self._handle,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )

    def stats(self) -> list[Stat]:
        """Return the processes there are now: the command's descendants, and whoever is in its session."""
        return family(self.process.pid)

    def cpu_secs(self) -> float:
        """Return the user and system time taken so far."""
        return cpu_secs(self.process.pid)

    def wait_until(self, ready: Callable[[], object], seconds: float) -> None:
        """Call `ready` until it doesn't raise; StartError if it still does after `seconds`, or at the end."""
        end = time.monotonic() + seconds
        while True:
            try:
                ready()
            except WrongError:
                raise
            except Exception as error:  # noqa: BLE001 - a server that starts refuses in many ways
                if self.process.poll() is not None:
                    raise StartError(f"ended with {self.process.returncode}: {self.last_line()}") from None
                if time.monotonic() > end:
                    why = f"not ready after {seconds:.0f} s: {_one_line(error)}; {self.last_line()}"
                    raise StartError(why) from None
                time.sleep(POLL_SECS)
            else:
                return

    def printed(self, text: str) -> None:
        """Raise LookupError until it printed `text`."""
        if text not in self.log.read_text(errors="replace"):
            raise LookupError(f"it did not print {text!r} yet")

    def last_line(self) -> str:
        """Return the last line with words that it printed: what is wrong is mostly said there."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if re.search(r"\w", line)]
        return lines[-1][-300:] if lines else "it printed nothing"

    def pause(self) -> None:
        """Put all processes to sleep, if they may: what waits must cost the others nothing."""
        if self._sleeps:
            self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Wake them."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End all processes at once, also those that are asleep: whoever ends us won't wait long."""
        for stat in self.stats():
            _send(stat.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End all processes: asked first, killed if some are still there."""
        self.resume()
        left = {stat.pid for stat in self.stats()}
        self.process.terminate()
        end = time.monotonic() + STOP_SECS
        while time.monotonic() < end and self.process.poll() is None:
            left |= {stat.pid for stat in self.stats()}
            time.sleep(POLL_SECS)
        for pid in left & {stat.pid for stat in _everyone()}:
            _send(pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self._handle):
            if pipe is not None:
                pipe.close()

    def _signal(self, number: int) -> None:
        for stat in self.stats():
            _send(stat.pid, number)


def family(pid: int) -> list[Stat]:
    """Return the process `pid`, its descendants, and whoever is in its session."""
    everyone = {stat.pid: stat for stat in _everyone()}
    found: dict[int, Stat] = {}
    for stat in everyone.values():
        at = stat
        while at.parent in everyone and at.pid != pid:
            at = everyone[at.parent]
        if pid in {at.pid, stat.session}:
            found |= {stat.pid: stat}
    return list(found.values())


def cpu_secs(pid: int) -> float:
    """Return the user and system time that `family` has taken so far, in seconds."""
    return sum(stat.cpu_secs for stat in family(pid))


def heed_sigterm() -> None:
    """Have SIGTERM raise SystemExit, so that what was started is ended: servers asleep stay for ever."""

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def free_port() -> int:
    """Return a port that nobody listens on at the moment."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def _everyone() -> list[Stat]:
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        ticks = sum(map(int, fields[11:15]))
        found.append(Stat(int(folder.name), int(fields[1]), int(fields[3]), ticks / TICKS))
    return found


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
