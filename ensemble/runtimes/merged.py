"""Members that run as one ONNX graph, where that is faster and changes no bit.

Rule: whoever asks merged members gets, bit for bit, what each of them gives alone; so a batch may run either
way. Members that needed a special way to keep a row's scores apart from its batch stay by themselves.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import exp, log
from typing import Any, Self
from weakref import WeakValueDictionary

import numpy as np

from ..errors import EnsembleError, MemberError
from ..member import Member, Rows, Scores, row_count
from ..signature import Signature, TensorSpec
from .measurements import Measurements, release, thread_counts
from .onnx_merge import merge, output_name
from .onnx_runtime import OnnxMember, one_line, open_session
from .sample import random_rows
from .source import ONNX, Source
from .trial import TRIAL_ROWS, distance, least_seconds, spread

TIMED_SIZES = (1, 16)
# One graph must take at most this much of the time of one after another.
WORTH = 1.0
# So much longer may one thread take, since it leaves cores to the rest of the server.
THREAD_WORTH = 1.05

_Key = tuple[tuple[str, str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Merging:
    """What was found out about running members as one graph.

    `threads` is how many the graph runs on; 0: the members stay by themselves. `seconds`, by batch size, has
    under 0 the members one after another, under its threads each graph, with the members that aren't in it.
    """

    threads: int
    names: tuple[str, ...] = ()
    seconds: Mapping[int, Mapping[int, float]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the form that is kept."""
        seconds = {str(threads): dict(by_size) for threads, by_size in self.seconds.items()}
        return {"threads": self.threads, "names": list(self.names), "seconds": seconds}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        seconds = {
            int(threads): {int(size): float(taken) for size, taken in by_size.items()}
            for threads, by_size in data["seconds"].items()
        }
        return cls(int(data["threads"]), tuple(map(str, data["names"])), seconds)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class MergedMembers:
    """Members that run as one graph. `open` makes one."""

    signature: Signature  # all inputs that the members take; the outputs are the first one's
    outputs: Mapping[str, str]  # the session's, by member
    session: Any

    @classmethod
    def open(
        cls,
        members: Sequence[OnnxMember],
        sources: Mapping[str, Source],
        *,
        threads: int,
        tried: bool = False,
    ) -> Self:
        """Merge `members`, whose files `sources` has by name; InvalidModelError if they can't be merged.

        MemberError if a member would give other scores than it gives alone, unless that was `tried` before.
        """
        models = {member.name: _read(sources[member.name]) for member in members}
        model = merge(models, {member.name: member.signature.outputs[0].name for member in members})
        inputs = _inputs(member.signature for member in members)
        merged = cls(
            Signature(tuple(inputs.values()), members[0].signature.outputs),
            {name: output_name(name) for name in models},
            open_session(model, ", ".join(models), threads, members[0].providers),
        )
        if not tried:
            merged._check(members)
        return merged

    @property
    def names(self) -> frozenset[str]:
        """The members' names."""
        return frozenset(self.outputs)

    def predict(self, rows: Rows) -> dict[str, Scores]:
        """Score `rows` with every member: by name, as `Member.predict`; MemberError says not whose it is."""
        try:
            given = {spec.name: rows[spec.name] for spec in self.signature.inputs}
            scores = self.session.run(list(self.outputs.values()), given)
        except Exception as error:  # ONNX Runtime's errors have no class in common
            raise MemberError(
                f"merged members failed on {row_count(rows)} rows: {one_line(error)}"
            ) from error
        return {
            name: np.ascontiguousarray(own, np.float32)
            for name, own in zip(self.outputs, scores, strict=True)
        }

    def _check(self, members: Sequence[OnnxMember]) -> None:
        """Raise MemberError unless made-up rows get the bits that `members` give, in batches of all sizes."""
        rows = random_rows(self.signature, TRIAL_ROWS)
        alone = np.concatenate([member.predict(rows) for member in members], axis=1)
        moved = spread(self._side_by_side, rows)
        if moved or distance(self._side_by_side(rows), alone):
            raise MemberError(f"members {list(self.outputs)} give other scores in one graph than alone")

    def _side_by_side(self, rows: Rows) -> Scores:
        return np.concatenate(list(self.predict(rows).values()), axis=1)


class Merger:
    """Merges members where that is worth it, and remembers what it merged while it is in use.

    On `threads`, or if that is 0 on as many as are measured to be best.
    """

    def __init__(self, measurements: Measurements, threads: int = 0) -> None:
        self._measurements = measurements
        self._threads = thread_counts(threads)
        self._made: WeakValueDictionary[_Key, MergedMembers] = WeakValueDictionary()

    def merged(self, members: Sequence[Member], sources: Mapping[str, Source]) -> MergedMembers | None:
        """Return those of `members` that run faster as one graph, as one; None if none do."""
        fit = mergeable(members)
        if len(fit) < 2:  # noqa: PLR2004 - one is no more than itself
            return None
        key = tuple(
            (member.name, sources[member.name].model, repr(member.signature), repr(member.found))
            for member in fit
        )
        # Measured anew or not, what was made stays: the members are the same to the bit.
        if (made := self._made.get(key)) is not None:
            return made
        fresh: dict[int, MergedMembers] = {}
        merging = self.merging(fit, sources, fresh)
        made = fresh.get(merging.threads)
        if made is None and merging.threads:
            with suppress(EnsembleError):
                chosen = [member for member in fit if member.name in merging.names]
                made = MergedMembers.open(chosen, sources, threads=merging.threads, tried=True)
        if made is not None:
            self._made[key] = made
        return made

    def merging(
        self,
        members: Sequence[OnnxMember],
        sources: Mapping[str, Source],
        fresh: dict[int, MergedMembers] | None = None,
    ) -> Merging:
        """Return the decision about `members`: the one that is kept, or a new one, its graphs in `fresh`."""
        made = {} if fresh is None else fresh
        facts = ["merging", release("onnxruntime"), repr(self._threads)]
        for member in members:
            facts += [member.name, sources[member.name].model, repr(member.signature), repr(member.found)]
        facts.append(repr(members[0].providers))

        def measure() -> Merging:
            made.update(_graphs(members, sources, self._threads))
            return _compared(members, made)

        return self._measurements.measured(facts, measure, Merging.from_json)


def mergeable(members: Sequence[Member]) -> list[OnnxMember]:
    """Return the most of `members` that may share a graph: run as they are, by the same providers.

    An input of one name must be the same for all of them.
    """
    groups: dict[str, list[OnnxMember]] = {}
    for member in members:
        if isinstance(member, OnnxMember) and member.way.plain:
            alike = groups.setdefault(repr(member.providers), [])
            known = _inputs(other.signature for other in alike)
            if all(known.get(spec.name, spec) == spec for spec in member.signature.inputs):
                alike.append(member)
    return max(groups.values(), key=len, default=[])


def _graphs(
    members: Sequence[OnnxMember], sources: Mapping[str, Source], counts: Sequence[int]
) -> dict[int, MergedMembers]:
    """Merge what can be merged, on each of these numbers of threads."""
    made = {}
    for threads in counts:
        # A member that must run on one thread would have all the others do so too.
        fit = [member for member in members if threads == 1 or not member.way.pinned]
        if len(fit) > 1:
            with suppress(EnsembleError):
                made[threads] = MergedMembers.open(fit, sources, threads=threads)
    return made


def _compared(members: Sequence[OnnxMember], graphs: Mapping[int, MergedMembers]) -> Merging:
    """Time the members one after another, and each of `graphs` with those that aren't in it."""
    signature = Signature(
        tuple(_inputs(member.signature for member in members).values()), members[0].signature.outputs
    )
    seconds: dict[int, dict[int, float]] = {threads: {} for threads in (0, *graphs)}
    for size in TIMED_SIZES:
        rows = random_rows(signature, size)
        works = [lambda rows=rows: [member.predict(rows) for member in members]]
        for graph in graphs.values():
            rest = [member for member in members if member.name not in graph.names]
            works.append(lambda rows=rows, graph=graph, rest=rest: _run(graph, rest, rows))  # type: ignore[misc]
        for threads, taken in zip(seconds, least_seconds(*works), strict=True):
            seconds[threads][size] = taken
    threads = worthwhile(seconds)
    names = tuple(graphs[threads].outputs) if threads else ()
    return Merging(threads, names, seconds)


def worthwhile(seconds: Mapping[int, Mapping[int, float]]) -> int:
    """Return on how many threads one graph should run, 0 if none should; `seconds` as in `Merging`."""
    parts = {
        threads: exp(sum(log(taken / seconds[0][size]) for size, taken in by_size.items()) / len(by_size))
        for threads, by_size in seconds.items()
        if threads
    }
    if min(parts.values(), default=WORTH) >= WORTH:
        return 0
    enough = min(parts.values()) * THREAD_WORTH
    return min(threads for threads, part in parts.items() if part <= enough)


def _run(graph: MergedMembers, rest: Sequence[OnnxMember], rows: Rows) -> list[Any]:
    return [graph.predict(rows), *(member.predict(rows) for member in rest)]


def _read(source: Source) -> bytes:
    with source.copied(ONNX) as path:
        return path.read_bytes()


def _inputs(signatures: Iterable[Signature]) -> dict[str, TensorSpec]:
    return {spec.name: spec for signature in signatures for spec in signature.inputs}
