"""From members with inputs of their own to members that take the ensemble's."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from model_store.output import identity_with_inputs

from ..errors import InvalidModelError
from ..loading.golden import golden_rows
from ..loading.onnx_inputs import own_rows, take
from ..member import Rows
from ..runtimes.onnx_runtime import OnnxMember
from ..runtimes.trial import distance
from ..signature import Signature, TensorSpec
from .prepare import REWRITTEN_TOLERANCE, Prepared


def take_inputs(
    members: Mapping[str, Prepared],
    work: Path,
    named: Mapping[str, Mapping[str, str]],
    sample: Rows | None = None,
    ensemble: Signature | None = None,
) -> dict[str, Prepared]:
    """Return the members, those in `named` with files that take the ensemble's inputs; InvalidModelError.

    `named` are the ensemble's inputs by a member's own names of them; what they look like is said by the
    `ensemble` there is, then by the members that have them under these names, else by the first one that is
    given them. Files are written below `work`.
    """
    known: dict[str, TensorSpec] = {} if ensemble is None else {spec.name: spec for spec in ensemble.inputs}
    for name, member in members.items():
        for spec in member.signature.inputs:
            if spec.name not in named.get(name, {}):
                known.setdefault(spec.name, spec)
    made = dict(members)
    for index, (name, own) in enumerate(named.items()):
        taken = _taken(members[name], own, known)
        made[name] = _taking(members[name], taken, work / f"inputs-{index}", sample)
    return made


def _taken(member: Prepared, own: Mapping[str, str], known: dict[str, TensorSpec]) -> dict[str, TensorSpec]:
    """Return the ensemble's inputs by the member's own names; add those that nobody had yet to `known`."""
    found = {}
    for theirs, ours in own.items():
        spec = member.signature.input(theirs)
        if spec is None:
            names = [spec.name for spec in member.signature.inputs]
            raise InvalidModelError(
                f"member {member.name!r} has no input {theirs!r} to take from {ours!r}; it has {names}"
            )
        found[theirs] = known.setdefault(ours, replace(spec, name=ours))
    return found


def _taking(member: Prepared, taken: Mapping[str, TensorSpec], target: Path, sample: Rows | None) -> Prepared:
    """Return the member with a file that takes `taken`, checked against its own on rows laid out by numpy."""
    own = OnnxMember.open(member.served, name=member.name, digest="", signature=member.signature)
    try:
        signature = take(member.served, target, member.signature, taken)
    except InvalidModelError as error:
        raise InvalidModelError(f"member {member.name!r}: {error}") from None
    inputs = {name: spec.name for name, spec in taken.items()}
    digest = identity_with_inputs(member.digest, inputs)
    opened = OnnxMember.open(target, name=member.name, digest=digest, signature=signature)
    rows = golden_rows(signature, sample)
    golden = opened.predict(rows)
    apart = distance(golden, own.predict(own_rows(rows, member.signature, taken)))
    if apart > REWRITTEN_TOLERANCE:
        raise InvalidModelError(
            f"member {member.name!r} gives scores that differ by {apart:.3g} once its graph takes "
            f"{sorted(inputs.values())}; change the model's inputs"
        )
    return replace(member.rewritten(opened, target, golden, apart), inputs=inputs)
