"""What the members of one ensemble must agree on: their inputs and their classes."""

from collections.abc import Mapping, Sequence

from ..errors import InvalidModelError
from ..signature import Signature, TensorSpec

SCORES = "scores"


def with_scores_output(name: str, signature: Signature, wanted: str | None) -> Signature:
    """Return a member's signature with one output: `wanted`, or the only one that can be scores.

    Scores are floats, one row of classes for each row. InvalidModelError names the candidates.
    """
    able = {spec.name: spec for spec in signature.outputs if _can_be_scores(spec)}
    outputs = [spec.name for spec in signature.outputs]
    if wanted is not None and wanted not in able:
        raise InvalidModelError(
            f"member {name!r} has no output {wanted!r} of floats [row, class]; it has {sorted(able)} "
            f"among {outputs}"
        )
    if not able:
        raise InvalidModelError(
            f"member {name!r} has no output of floats [row, class], among {outputs}; export its probabilities"
        )
    if wanted is None and len(able) > 1:
        raise InvalidModelError(
            f"member {name!r} has {len(able)} outputs that can be scores, {sorted(able)}; "
            f"name one: --scores-output {name}={min(able)}"
        )
    return Signature(signature.inputs, (able[wanted or next(iter(able))],))


def ensemble_signature(members: Mapping[str, Signature], classes: int) -> Signature:
    """Return the union of the members' inputs, and one output, float32 "scores" [classes].

    InvalidModelError if two members mean different tensors by one name.
    """
    inputs: dict[str, TensorSpec] = {}
    first: dict[str, str] = {}
    for name, signature in members.items():
        for spec in signature.inputs:
            known = inputs.setdefault(spec.name, spec)
            owner = first.setdefault(spec.name, name)
            if known != spec:
                raise InvalidModelError(
                    f"input {spec.name!r} is {known.dtype} {list(known.shape)} for member {owner!r} and "
                    f"{spec.dtype} {list(spec.shape)} for {name!r}; rename it or resize inside the model"
                )
    return Signature(tuple(inputs.values()), (TensorSpec(SCORES, "float32", (classes,)),))


def one_class_count(counts: Mapping[str, int]) -> int:
    """Return how many classes the members have; InvalidModelError if they differ, with each count."""
    if len(set(counts.values())) != 1:
        each = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise InvalidModelError(f"members differ in how many classes they score: {each}; leave some out")
    return next(iter(counts.values()))


def class_names(count: int, given: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the classes: `given`, or "0", "1", ...; InvalidModelError if they don't fit."""
    names = tuple(given) if given is not None else tuple(str(index) for index in range(count))
    if len(names) != count or len(set(names)) != count:
        raise InvalidModelError(
            f"the members score {count} classes; {len(set(names))} distinct names are given: {list(names)}"
        )
    return names


def _can_be_scores(spec: TensorSpec) -> bool:
    return spec.dtype.startswith("float") and len(spec.shape) == 1
