"""Which runtime executes a member: decided by measuring on this machine, once for each member.

ONNX Runtime is the reference. Another one is taken only if its scores are the reference's but for rounding,
and if it takes clearly less time at the batch sizes that matter. The decision is kept in a file, by the
member's digest and by what the machine is, and measured again where either is new.
"""

import hashlib
import json
import os
import platform
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from ..errors import InvalidModelError, MemberError
from ..member import Member
from ..signature import Signature
from .onnx_runtime import OnnxMember
from .sample import random_rows
from .trial import TRIAL_ROWS, distance, least_seconds

REFERENCE = "onnxruntime"
AUTO = "auto"
TIMED_SIZES = (1, 16)
# How far another runtime's scores may be from the reference's; absolute for scores up to 1, relative above.
TOLERANCE = 1e-5
# Another runtime must take at most this much of the reference's time. Members of the reference can be merged,
# which is worth some of it.
WORTH = 0.8


class Open(Protocol):
    """A runtime: opens a member. `tests/conformance` checks what the member must keep."""

    def __call__(
        self, path: Path, *, name: str, digest: str, signature: Signature, threads: int = 0
    ) -> Member:
        """Open the ONNX file at `path` as a member; InvalidModelError if this runtime can't run it."""
        ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a runtime did with a member: seconds by batch size; or why it is out of the question."""

    seconds: Mapping[int, float] = field(default_factory=dict)
    max_error: float = 0.0  # the most that a score is from the reference's
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """The runtime that a member gets, and what every runtime did."""

    runtime: str
    candidates: Mapping[str, Candidate]

    def to_json(self) -> dict[str, Any]:
        """Return the form that is kept."""
        return {
            "runtime": self.runtime,
            "candidates": {
                name: {"seconds": dict(tried.seconds), "max_error": tried.max_error, "refused": tried.refused}
                for name, tried in self.candidates.items()
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        candidates = {
            name: Candidate(
                {int(size): float(seconds) for size, seconds in tried["seconds"].items()},
                float(tried["max_error"]),
                str(tried["refused"]),
            )
            for name, tried in data["candidates"].items()
        }
        return cls(str(data["runtime"]), candidates)


def installed() -> dict[str, Open]:
    """Return the runtimes that are installed here, by name, the reference first."""
    runtimes: dict[str, Open] = {REFERENCE: OnnxMember.open}
    if find_spec("openvino"):
        from .openvino_runtime import OpenvinoMember  # noqa: PLC0415 - heavy, and an extra

        runtimes["openvino"] = OpenvinoMember.open
    return runtimes


def opener(wish: str, folder: Path | None) -> Open:
    """Return what opens members: the runtime called `wish`, or for "auto" the fastest one for each.

    InvalidModelError if it isn't installed. `folder` keeps the decisions of "auto".
    """
    if wish == REFERENCE:
        # The usual case: no other runtime is as much as imported.
        return OnnxMember.open
    if wish == REFERENCE:
        # Without a look at the others: importing them takes time.
        return OnnxMember.open
    runtimes = installed()
    if wish == AUTO:
        return Chooser(runtimes, folder).open
    if wish not in runtimes:
        raise InvalidModelError(
            f"runtime {wish!r} is not installed; installed are {list(runtimes)}: install unisono[{wish}]"
        )
    return runtimes[wish]


class Chooser:
    """Opens members on the runtime that is fastest for them here.

    `folder` keeps the decisions; None forgets them.
    """

    def __init__(self, runtimes: Mapping[str, Open], folder: Path | None) -> None:
        self._runtimes = runtimes
        self._folder = folder

    def open(self, path: Path, *, name: str, digest: str, signature: Signature, threads: int = 0) -> Member:
        """Open a member on the runtime chosen for it; as `Open`."""
        known = {"name": name, "digest": digest, "signature": signature, "threads": threads}
        if len(self._runtimes) == 1:
            return self._runtimes[REFERENCE](path, **known)  # type: ignore[arg-type]
        choice = self.choice(path, name=name, digest=digest, signature=signature, threads=threads)
        return self._runtimes[choice.runtime](path, **known)  # type: ignore[arg-type]

    def choice(self, path: Path, *, name: str, digest: str, signature: Signature, threads: int) -> Choice:
        """Return the decision for a member: the one that is kept, or a new one."""
        kept = self._place(f"{digest} {path.name}", signature, threads)
        if kept is not None:
            with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                choice = Choice.from_json(json.loads(kept.read_text()))
                if choice.runtime in self._runtimes:
                    return choice
        choice = compare(
            {
                runtime: lambda open_on=open_on: open_on(  # type: ignore[misc]
                    path, name=name, digest=digest, signature=signature, threads=threads
                )
                for runtime, open_on in self._runtimes.items()
            }
        )
        if kept is not None:
            _write(kept, choice)
        return choice

    def _place(self, model: str, signature: Signature, threads: int) -> Path | None:
        if self._folder is None:
            return None
        facts = [model, json.dumps(signature.to_json()), str(threads), fingerprint(self._runtimes)]
        return self._folder / f"{hashlib.sha256(' '.join(facts).encode()).hexdigest()}.json"


def compare(opens: Mapping[str, Callable[[], Member]]) -> Choice:
    """Open a member on every runtime and choose; raise what the reference raises."""
    reference = opens[REFERENCE]()
    try:
        rows = random_rows(reference.signature, TRIAL_ROWS)
        expected = reference.predict(rows)
    except (InvalidModelError, MemberError) as error:
        # Without rows to try, nothing can be said for another runtime.
        return Choice(REFERENCE, {REFERENCE: Candidate(refused=f"not measured: {error}")})
    members: dict[str, Member] = {REFERENCE: reference}
    candidates: dict[str, Candidate] = {}
    errors: dict[str, float] = {REFERENCE: 0.0}
    for runtime, open_on in opens.items():
        if runtime == REFERENCE:
            continue
        try:
            member = open_on()
            errors[runtime] = distance(member.predict(rows), expected)
        except (InvalidModelError, MemberError) as error:
            candidates[runtime] = Candidate(refused=str(error))
            continue
        if errors[runtime] > TOLERANCE:
            refused = f"scores are {errors[runtime]:.3g} from {REFERENCE}'s; {TOLERANCE:g} may be"
            candidates[runtime] = Candidate(max_error=errors[runtime], refused=refused)
        else:
            members[runtime] = member
    seconds = _seconds(members)
    candidates |= {runtime: Candidate(seconds[runtime], errors[runtime]) for runtime in members}
    return Choice(_fastest(seconds), candidates)


def fingerprint(runtimes: Mapping[str, Open]) -> str:
    """Say what a decision rests on beside the member: processor, cores, and releases of the runtimes."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line for line in lines if line.startswith("model name")), platform.processor())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return " ".join(
        [platform.machine(), model, str(cores), *(f"{name} {_release(name)}" for name in runtimes)]
    )


def cache_folder() -> Path:
    """Return where decisions are kept: under $XDG_CACHE_HOME, or ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "unisono" / "runtimes"


def _seconds(members: Mapping[str, Member]) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {runtime: {} for runtime in members}
    for size in TIMED_SIZES:
        rows = random_rows(members[REFERENCE].signature, size)
        works = [lambda member=member: member.predict(rows) for member in members.values()]  # noqa: B023 - called at once
        for runtime, seconds in zip(members, least_seconds(*works), strict=True):
            found[runtime][size] = seconds
    return found


def _fastest(seconds: Mapping[str, Mapping[int, float]]) -> str:
    """Return the reference, or the runtime that takes the least of its time, if that is worth it."""
    reference = np.array(list(seconds[REFERENCE].values()))
    parts = {
        name: float(np.exp(np.log(np.array(list(own.values())) / reference).mean()))
        for name, own in seconds.items()
        if name != REFERENCE
    }
    best = min(parts, key=parts.__getitem__, default=REFERENCE)
    return best if parts.get(best, 1.0) <= WORTH else REFERENCE


def _release(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def _write(place: Path, choice: Choice) -> None:
    """Keep a decision; a folder that can't be written to only costs the next start its time."""
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(choice.to_json(), indent=1))
        temporary.replace(place)
