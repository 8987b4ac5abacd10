"""Opens members on the runtime that is asked for, or on the one that was measured to be fastest.

Rule: no runtime is imported before one of its members is to be opened or measured: a decision that is kept
costs nothing but reading it.
"""

from collections.abc import Callable, Mapping
from importlib.util import find_spec

from ..errors import InvalidModelError
from ..member import Member
from .choice import REFERENCE, Choice, Plan, compare
from .measurements import Measurements, release, thread_counts
from .onnx_runtime import OnnxMember
from .source import Found, OpenedMember, Runtime, Source

AUTO = "auto"
# Gives a member, computing on so many threads; 0 leaves that open.
Open = Callable[[Source, int], Member]


class Opener:
    """Opens members on the best of `runtimes`, the reference first; the decisions are in `measurements`."""

    def __init__(self, runtimes: Mapping[str, Runtime], measurements: Measurements) -> None:
        self._runtimes = runtimes
        self._measurements = measurements

    def __call__(self, source: Source, threads: int = 0) -> Member:
        """Open a member on `threads`, or if that is 0 on as many as are measured to be best."""
        choice, member = self._chosen(source, threads)
        if member is not None:
            return member
        return self._runtimes[choice.plan.runtime](source, threads=choice.plan.threads, known=choice.found)

    def choice(self, source: Source, threads: int = 0) -> Choice:
        """Return the decision for a member: the one that is kept, or a new one."""
        return self._chosen(source, threads)[0]

    def _chosen(self, source: Source, threads: int) -> tuple[Choice, OpenedMember | None]:
        """Return the decision; and the member, if it had to be opened for that."""
        counts = thread_counts(threads)
        tried = [Plan(runtime, count) for runtime in self._runtimes for count in counts]
        made: list[OpenedMember] = []

        def measure() -> Choice:
            choice, member = compare(
                {
                    plan: lambda plan=plan: self._runtimes[plan.runtime](source, threads=plan.threads)  # type: ignore[misc]
                    for plan in tried
                }
            )
            made.append(member)
            return choice

        facts = [
            *("choice", source.digest, source.model, repr(source.signature)),
            *map(str, tried),
            *(release(runtime) for runtime in self._runtimes),
        ]
        choice = self._measurements.measured(facts, measure, Choice.from_json)
        return choice, made[0] if made else None


def open_plainly(source: Source, threads: int = 0) -> Member:
    """Open a member on the reference, on `threads`; 0: one a core."""
    return OnnxMember.opened(source, threads=threads)


def installed() -> dict[str, Runtime]:
    """Return the runtimes that are installed here, by name, the reference first."""
    runtimes: dict[str, Runtime] = {REFERENCE: OnnxMember.opened}
    if find_spec("openvino"):
        runtimes["openvino"] = _open_on_openvino
    return runtimes


def opener(wish: str, measurements: Measurements) -> Opener:
    """Return what opens members: the runtime called `wish`, or for "auto" the fastest one for each.

    InvalidModelError if it isn't installed.
    """
    runtimes = installed()
    if wish == AUTO:
        return Opener(runtimes, measurements)
    if wish not in runtimes:
        raise InvalidModelError(
            f"runtime {wish!r} is not installed; installed are {list(runtimes)}: install unisono[{wish}]"
        )
    return Opener({wish: runtimes[wish]}, measurements)


def _open_on_openvino(source: Source, *, threads: int, known: Found | None = None) -> OpenedMember:
    from .openvino_runtime import OpenvinoMember  # noqa: PLC0415 - heavy, and an extra

    return OpenvinoMember.opened(source, threads=threads, known=known)
