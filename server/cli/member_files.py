"""What is said about model files on the command line, as text by member: read once, for all commands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from ensemble.errors import InvalidModelError

Texts = Annotated[list[str] | None, Parameter(negative=())]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Models outside the ensemble, and what `unisono publish` would have to be told about them.

    Attributes:
        candidate: A model outside the ensemble, as NAME=FILE, to say what it would add; it isn't published.
        member_input: Which of the ensemble's inputs a candidate takes as its own INPUT, as
            NAME=INPUT:ENSEMBLES, where it has another name for it or wants it flat or channels first.
        member_classes: The classes of a candidate's columns in its own order, as NAME=B,C,A.
        output_kind: What a candidate's output is, as NAME=softmax, sigmoid, logits or values.
        scores_output: Which output of a candidate is its scores, as NAME=OUTPUT.
    """

    candidate: Texts = None
    member_input: Texts = None
    member_classes: Texts = None
    output_kind: Texts = None
    scores_output: Texts = None


def pairs(texts: Sequence[str], option: str, form: str) -> dict[str, str]:
    """Read KEY=VALUE texts; InvalidModelError for another form, or a key named twice."""
    found: dict[str, str] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not (key and sign and value) or key in found:
            problem = "is named twice" if key in found else f"is not {form}"
            raise InvalidModelError(f"{option} {text!r} {problem}; give each once, as {option} {form}")
        found[key] = value
    return found


def inputs(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    """Read NAME=INPUT:ENSEMBLES texts; InvalidModelError for another form, or an input named twice."""
    found: dict[str, dict[str, str]] = {}
    for text in texts:
        member, _, names = text.partition("=")
        # TensorFlow's names have colons in them.
        own, _, ensembles = names.rpartition(":")
        if not (member and own and ensembles) or own in found.get(member, {}):
            problem = "names an input twice" if own and ensembles else "is not NAME=INPUT:ENSEMBLES"
            raise InvalidModelError(
                f"--member-input {text!r} {problem}; give each once, as --member-input NAME=INPUT:ENSEMBLES"
            )
        found.setdefault(member, {})[own] = ensembles
    return found


def classes(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Read NAME=B,C,A texts; InvalidModelError as of `pairs`."""
    found = pairs(texts, "--member-classes", "NAME=B,C,A")
    return {member: tuple(text.split(",")) for member, text in found.items()}
