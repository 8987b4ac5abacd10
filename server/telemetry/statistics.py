"""Where the time of each version's requests went, in the terms of Triton's ModelStatistics.

Counts requests where `metrics` counts calls. A member is a model of its own, `NAME.member`: it is counted
when it is asked as one, and as a part of its ensemble. Times come in seconds and are kept in nanoseconds.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

# The methods that score rows; the others ask about models.
SCORING = frozenset(
    {"ModelInfer", "ModelStreamInfer", "Predict", "Classify", "Regress", "MultiInference"},
)
NANOSECONDS = 1e9


@dataclass(frozen=True, slots=True)
class BatchTimes:
    """One batch: its rows, how long each request waited, and its three stages, in seconds."""

    rows: int
    waited: Sequence[float]
    joining: float  # laying the requests' rows one after another
    running: float  # all members and the pool
    parting: float  # giving each caller its own
    by_member: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Duration:
    """How many, and how many nanoseconds in all."""

    count: int = 0
    ns: int = 0

    def add(self, count: int, seconds: float) -> None:
        """Add `count` that took `seconds` together."""
        self.count += count
        self.ns += round(seconds * NANOSECONDS)

    def include(self, other: "Duration") -> None:
        """Add what another has."""
        self.count += other.count
        self.ns += other.ns


@dataclass(slots=True)
class Stages:
    """What computing is made of. All three count the same."""

    input: Duration = field(default_factory=Duration)
    infer: Duration = field(default_factory=Duration)
    output: Duration = field(default_factory=Duration)

    def add(self, count: int, stages: tuple[float, float, float]) -> None:
        """Add `count` of which each took `stages` seconds."""
        for duration, seconds in zip((self.input, self.infer, self.output), stages, strict=True):
            duration.add(count, count * seconds)

    def include(self, other: "Stages") -> None:
        """Add what another has."""
        self.input.include(other.input)
        self.infer.include(other.infer)
        self.output.include(other.output)


@dataclass(slots=True)
class Figures:
    """One version of one model since it was first asked."""

    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    compute: Stages = field(default_factory=Stages)
    by_batch_size: dict[int, Stages] = field(default_factory=dict)
    rows: int = 0
    batches: int = 0
    last_ms: int = 0  # since 1970; 0 is never

    def add(self, rows: int, waited: Sequence[float], stages: tuple[float, float, float]) -> None:
        """Count one batch."""
        self.rows += rows
        self.batches += 1
        self.last_ms = time.time_ns() // 1_000_000
        self.queue.add(len(waited), sum(waited))
        self.compute.add(len(waited), stages)
        if rows not in self.by_batch_size:
            self.by_batch_size[rows] = Stages()
        self.by_batch_size[rows].add(1, stages)

    def include(self, other: "Figures") -> None:
        """Add what another process counted for the same version."""
        self.success.include(other.success)
        self.fail.include(other.fail)
        self.queue.include(other.queue)
        self.compute.include(other.compute)
        for size, stages in other.by_batch_size.items():
            self.by_batch_size.setdefault(size, Stages()).include(stages)
        self.rows += other.rows
        self.batches += other.batches
        self.last_ms = max(self.last_ms, other.last_ms)


class Statistics:
    """Counts what the parts tell it. Safe to call from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._figures: dict[tuple[str, str], Figures] = {}
        self._serving: dict[str, str] = {}

    def of(self, model: str, version: int) -> Figures:
        """Give what was counted for one version; of one never asked, zeros."""
        with self._lock:
            return self._figures.get((model, str(version))) or Figures()

    async def write_on(self) -> None:
        """Keep up to date what others read of this: nothing, where there are no others."""

    def handled(self, method: str, model: str, version: str, code: str, seconds: float) -> None:
        """A call was answered, with `code`, after `seconds`."""
        if not model or method not in SCORING:
            return
        with self._lock:
            figures = self._of(model, version)
            (figures.success if code == "OK" else figures.fail).add(1, seconds)

    def scored(self, model: str, version: int, times: BatchTimes) -> None:
        """A batch came to an end: count it for the model, and for the members of an ensemble.

        Members are asked one after another, so only the first has its rows wait in the queue, and the
        members' times add up to their ensemble's. Joining and parting rows is the ensemble's alone.
        """
        with self._lock:
            stages = (times.joining, times.running, times.parting)
            self._of(model, str(version)).add(times.rows, times.waited, stages)
            if "." in model:
                return
            waited = times.waited
            for member, seconds in times.by_member.items():
                figures = self._of(f"{model}.{member}", str(version))
                figures.add(times.rows, waited, (0.0, seconds, 0.0))
                figures.success.add(len(waited), sum(waited) + len(waited) * seconds)
                waited = [0.0] * len(waited)

    def member_failed(self, model: str, member: str) -> None:
        """`member` could not score a batch: one failure, of the version served now."""
        if "." in model:  # Asked by itself: its call is counted.
            return
        with self._lock:
            version = self._serving.get(model)
            if version is not None:
                self._of(f"{model}.{member}", version).fail.add(1, 0.0)

    def swapped(self, model: str, version: int) -> None:
        """`version` answers now who names none."""
        with self._lock:
            self._serving[model] = str(version)

    def serving(self, model: str, versions: Collection[int]) -> None:
        """Exactly these versions are served now: forget the others, and their members."""
        served = {str(version) for version in versions}
        with self._lock:
            self._figures = {
                (name, of): figures
                for (name, of), figures in self._figures.items()
                if name.partition(".")[0] != model or of in served
            }

    def _of(self, model: str, version: str) -> Figures:
        figures = self._figures.get((model, version))
        if figures is None:
            figures = self._figures[model, version] = Figures()
        return figures
