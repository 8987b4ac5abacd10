"""From members that were tried to members of one ensemble: the same classes, in the same order, as scores.

A member whose file gives something else gets a file made of it that gives this, and is tried again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from model_store.output import Output

from ..errors import InvalidModelError
from ..loading.golden import golden_rows
from ..loading.onnx_adapt import adapt, adapted, class_labels
from ..member import Rows
from ..runtimes.onnx_runtime import OnnxMember
from ..signature import Signature, TensorSpec
from .agreement import class_names, one_class_count
from .outputs import kind_of, named_classes, order_of, steps_of
from .prepare import REWRITTEN_TOLERANCE, Prepared

_BINARY = 2


@dataclass(frozen=True, slots=True)
class Meaning:
    """What is said about scores. `classes` are the ensemble's, in its order; None leaves them to the members.

    By member: `member_classes`, its own names of its columns; `kinds`, one of `outputs.KINDS`.
    """

    classes: Sequence[str] | None = None
    member_classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)

    def check(self, members: Sequence[str]) -> None:
        """Refuse what is said about members that there are not."""
        for option, named in (("--member-classes", self.member_classes), ("--output-kind", self.kinds)):
            unknown = sorted(set(named) - set(members))
            if unknown:
                raise InvalidModelError(f"{option} names {unknown}; the members are {sorted(members)}")


def adapt_members(
    members: Mapping[str, Prepared], work: Path, meaning: Meaning, sample: Rows | None = None
) -> tuple[dict[str, Prepared], tuple[str, ...]]:
    """Return the members as they are to be served, and the ensemble's classes; InvalidModelError.

    Files are written below `work`. `sample` is what the members' golden scores were made of.
    """
    meaning.check(list(members))
    own = {name: _labels(member, meaning) for name, member in members.items()}
    named = named_classes({name: labels for name, labels in own.items() if labels}, meaning.classes)
    wanted = max(member.classes for member in members.values()) if named is None else len(named)
    kinds = {name: _kind(member, meaning, len(own[name]) or wanted) for name, member in members.items()}
    counts = {
        name: _BINARY if "two-classes" in steps_of(kinds[name], member.classes) else member.classes
        for name, member in members.items()
    }
    classes = class_names(one_class_count(counts), named)
    made = {}
    for index, (name, member) in enumerate(members.items()):
        order = order_of(name, own[name], classes, declared=name in meaning.member_classes)
        labels = tuple(own[name]) if set(own[name]) == set(classes) else ()
        output = Output(kinds[name], labels, steps_of(kinds[name], member.classes), order)
        made[name] = _as_served(member, output, work / f"adapted-{index}", sample)
    return made, classes


def _labels(member: Prepared, meaning: Meaning) -> Sequence[str]:
    """Return a member's own names of its columns, if it is known: as said, else as its file says."""
    if member.name in meaning.member_classes:
        return meaning.member_classes[member.name]
    if member.earlier is not None:
        return member.earlier.output.classes
    found = class_labels(member.served)
    # A binary classifier names two classes and may give one column.
    return found if len(found) in (member.classes, member.classes + 1) else ()


def _kind(member: Prepared, meaning: Meaning, classes: int) -> str:
    if member.golden is None:
        return "" if member.earlier is None else member.earlier.output.kind
    return kind_of(member.name, member.golden, meaning.kinds.get(member.name), classes)


def _as_served(member: Prepared, output: Output, target: Path, sample: Rows | None) -> Prepared:
    """Return the member with its file adapted, and checked against the same steps computed by numpy."""
    if not output.adapted or member.golden is None:
        return replace(member, output=output)
    spec = member.signature.outputs[0]
    adapt(member.served, target, spec, output)
    digest = output.identity(member.digest)
    expected = adapted(member.golden, output)
    scores = TensorSpec(spec.name, "float32", (expected.shape[1],))
    signature = Signature(member.signature.inputs, (scores,))
    opened = OnnxMember.open(target, name=member.name, digest=digest, signature=signature)
    golden = opened.predict(golden_rows(signature, sample))
    error = float(np.abs(golden - expected).max())
    if not error <= REWRITTEN_TOLERANCE:
        raise InvalidModelError(
            f"member {member.name!r} gives scores that differ by {error:.3g} once its graph does "
            f"{', '.join(output.steps) or 'the reordering'} too; export it so that it gives probabilities"
        )
    return replace(member.rewritten(opened, target, golden, error), output=output)
