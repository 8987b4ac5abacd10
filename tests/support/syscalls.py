"""Running a process under strace, which kills it at its n-th system call of a kind, or fails that call."""

import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.tools import missing

# What changes a disk, by the names that the kernel knows; a machine uses some of them.
CALLS = (
    "write", "fsync", "fdatasync", "link", "linkat", "rename", "renameat", "renameat2", "unlink", "unlinkat",
    "mkdir", "mkdirat",
)  # fmt: skip
_LIMIT_SECS = 60


@dataclass(frozen=True)
class Point:
    """What happens (a signal, or an error number's name) at which call of a kind, counted from 1."""

    call: str
    number: int
    what: str

    @property
    def injection(self) -> str:
        """The words that tell strace."""
        kind = "signal" if self.what.startswith("SIG") else "error"
        return f"{self.call}:{kind}={self.what}:when={self.number}"


def need_strace() -> None:
    """Skip the test where strace can't work, and say why; on CI, where it must, fail."""
    reason = _why_not()
    if reason is not None:
        missing(reason)


def count(command: Sequence[str], log: Path) -> Counter[str]:
    """Run `command` undisturbed; return how often it made each call."""
    done = _strace(command, log, [])
    assert done.returncode == 0, done.stderr
    lines = log.read_text().splitlines()
    return Counter(
        call for line in lines for call in CALLS if line.partition(" ")[2].lstrip().startswith(call + "(")
    )


def disturb(command: Sequence[str], log: Path, point: Point) -> int:
    """Run `command` with one disturbance and return its exit code; minus the signal that ended it."""
    done = _strace(command, log, ["-e", f"inject={point.injection}"])
    assert "(INJECTED)" in log.read_text() or done.returncode == -9, f"{point}: {done.stderr}"
    return done.returncode


def _strace(command: Sequence[str], log: Path, more: list[str]) -> subprocess.CompletedProcess[str]:
    # A call that this machine doesn't have must not be an error: `?` before its name.
    trace = "trace=" + ",".join(f"?{call}" for call in CALLS)
    words = ["strace", "-f", "-qq", "-o", str(log), "-e", trace, *more, *command]
    return subprocess.run(words, check=False, capture_output=True, text=True, timeout=_LIMIT_SECS)


def _why_not() -> str | None:
    """Say why strace can't be used here; None if it can."""
    if shutil.which("strace") is None:
        return "strace isn't installed: `make system-deps` installs it"
    tried = subprocess.run(["strace", "-qq", "true"], check=False, capture_output=True, text=True)
    return None if tried.returncode == 0 else f"strace may not trace here: {tried.stderr.strip()}"
