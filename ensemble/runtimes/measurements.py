"""What was measured on this machine, so that it need not be measured again.

Each measurement is a small JSON file in a folder of the user's cache, named by a digest of all that it rests
on: what was measured, the processor, the cores, the releases of the libraries. Where any of these is another,
so is the file. Losing the folder costs time and nothing else.
"""

import fcntl
import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol, TypeVar


class Kept(Protocol):
    """What can be kept."""

    def to_json(self) -> dict[str, Any]:
        """Return it in the words of JSON."""
        ...


K = TypeVar("K", bound=Kept)


class Measurements:
    """Keeps measurements in `folder`; with None only while this object lives."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._machine = machine()
        self._seen: dict[str, dict[str, Any]] = {}

    def measured(self, facts: Iterable[str], measure: Callable[[], K], read: Callable[[Any], K]) -> K:
        """Return what `measure` found about `facts`, now or earlier; `read` reads what `to_json` gave."""
        key = sha256("\n".join([*self._machine, *facts]).encode()).hexdigest()
        if (kept := self._read(key, read)) is not None:
            return kept
        with self._alone():
            # Another process may have measured it while this one waited.
            if (kept := self._read(key, read)) is not None:
                return kept
            found = measure()
            self._seen[key] = found.to_json()
            # Before anybody else may look.
            if self._folder is not None:
                _write(self._folder / f"{key}.json", found.to_json())
        return found

    def _read(self, key: str, read: Callable[[Any], K]) -> K | None:
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            if key not in self._seen and self._folder is not None:
                return read(json.loads((self._folder / f"{key}.json").read_text()))
            return read(self._seen[key])
        return None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let nobody else who keeps measurements here measure: two at once would disturb each other."""
        with ExitStack() as held:
            if self._folder is not None:
                with suppress(OSError):
                    self._folder.mkdir(parents=True, exist_ok=True)
                    fcntl.flock(held.enter_context((self._folder / "lock").open("w")), fcntl.LOCK_EX)
            yield


def machine() -> list[str]:
    """Say what a measurement rests on beside what is measured: the processor, and how many cores."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line for line in lines if line.startswith("model name")), platform.processor())
    return [platform.machine(), model, str(cores())]


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_counts(wish: int) -> list[int]:
    """Return on how many threads a member is worth trying; without a wish, 0, on one a core and on one."""
    return [wish] if wish else sorted({1, cores()}, reverse=True)


def release(package: str) -> str:
    """Return which release of a package is installed."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} unknown"


def cache_folder() -> Path | None:
    """Return where measurements are kept if nobody says where: under $XDG_CACHE_HOME, or ~/.cache.

    None where there is no home, as for a user of a container that nobody gave one.
    """
    root = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(root) if root else Path.home() / ".cache") / "unisono" / "runtimes"
    except RuntimeError:
        return None


def _write(place: Path, data: dict[str, Any]) -> None:
    """Keep a measurement; a folder that can't be written to only costs the next start its time."""
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(data, indent=1))
        temporary.replace(place)
