"""Members that run as one ONNX graph, where that is faster and changes no bit.

Rule: whoever asks merged members gets, bit for bit, what each of them gives alone; so a batch may run either
way. Members that needed a special way to keep a row's scores apart from its batch stay by themselves.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from weakref import WeakValueDictionary

import numpy as np

from ..errors import EnsembleError, MemberError
from ..member import Member, Rows, Scores, row_count
from ..signature import Signature, TensorSpec
from .onnx_merge import merge, output_name
from .onnx_runtime import OnnxMember, Way, one_line, open_session
from .sample import random_rows
from .trial import TRIAL_ROWS, distance, least_seconds, spread

TIMED_SIZES = (1, 16)
# One graph must take at most this much of the time of one after another.
WORTH = 1.0

# Gives the model of a member, by its name.
Read = Callable[[str], bytes]
_Key = tuple[tuple[str, str, str, int], ...]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class MergedMembers:
    """Members that run as one graph. `open` makes one."""

    signature: Signature  # all inputs that the members take; the outputs are the first one's
    outputs: Mapping[str, str]  # the session's, by member
    session: Any

    @classmethod
    def open(cls, members: Sequence[OnnxMember], read: Read) -> Self:
        """Merge `members`, whose files `read` gives by name; InvalidModelError if they can't be merged.

        MemberError if a member would give other scores than it gives alone.
        """
        models = {member.name: read(member.name) for member in members}
        model = merge(models, {member.name: member.signature.outputs[0].name for member in members})
        inputs = _inputs(member.signature for member in members)
        merged = cls(
            Signature(tuple(inputs.values()), members[0].signature.outputs),
            {name: output_name(name) for name in models},
            open_session(model, ", ".join(models), members[0].way.threads),
        )
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
    """Merges members where that is worth it, and remembers what it merged while it is in use."""

    def __init__(self) -> None:
        self._made: WeakValueDictionary[_Key, MergedMembers] = WeakValueDictionary()
        self._not_worth_it: set[_Key] = set()

    def merged(self, members: Sequence[Member], read: Read) -> MergedMembers | None:
        """Return those of `members` that run faster as one graph, as one; None if none do."""
        fit = mergeable(members)
        key = tuple(
            (member.name, member.digest, member.signature.outputs[0].name, member.way.threads)
            for member in fit
        )
        if len(fit) < 2 or key in self._not_worth_it:  # noqa: PLR2004 - one is no more than itself
            return None
        made = self._made.get(key)
        if made is None:
            made = _worthwhile(fit, read)
            if made is None:
                self._not_worth_it.add(key)
            else:
                self._made[key] = made
        return made


def mergeable(members: Sequence[Member]) -> list[OnnxMember]:
    """Return the most of `members` that may share a graph: run as they are, on as many threads.

    An input of one name must be the same for all of them.
    """
    plain = [
        member
        for member in members
        if isinstance(member, OnnxMember) and member.way == Way(member.way.threads)
    ]
    by_threads: dict[int, list[OnnxMember]] = {}
    for member in plain:
        alike = by_threads.setdefault(member.way.threads, [])
        known = _inputs(other.signature for other in alike)
        if all(known.get(spec.name, spec) == spec for spec in member.signature.inputs):
            alike.append(member)
    return max(by_threads.values(), key=len, default=[])


def _worthwhile(members: Sequence[OnnxMember], read: Read) -> MergedMembers | None:
    """Merge `members`, if they can be merged and are faster so."""
    try:
        made = MergedMembers.open(members, read)
    except EnsembleError:
        return None
    gain = 0.0
    for size in TIMED_SIZES:
        rows = random_rows(made.signature, size)
        apart, together = least_seconds(
            lambda rows=rows: [member.predict(rows) for member in members],  # type: ignore[misc]
            lambda rows=rows: made.predict(rows),  # type: ignore[misc]
        )
        gain += float(np.log(together / apart))
    return made if gain / len(TIMED_SIZES) < np.log(WORTH) else None


def _inputs(signatures: Any) -> dict[str, TensorSpec]:
    return {spec.name: spec for signature in signatures for spec in signature.inputs}
