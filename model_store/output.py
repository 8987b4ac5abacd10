"""What the columns of a member's file are, and what was done to make them the ensemble's scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self

from model_store import canonical
from model_store.canonical import part


@dataclass(frozen=True, slots=True)
class Output:
    """What a member's file gives.

    Attributes:
        kind: softmax, sigmoid, logits or values; empty where nobody looked.
        classes: The member's own names of its columns, in its order; empty for the ensemble's.
        steps: What turns its columns into the ensemble's, in order: "softmax", "sigmoid", "two-classes".
        columns: Which column, after that, is each class of the ensemble; empty for all as they are.
    """

    kind: str = ""
    classes: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    columns: tuple[int, ...] = ()

    @property
    def adapted(self) -> bool:
        """Whether scores are other than what the file gives."""
        return bool(self.steps or self.columns)

    def identity(self, digest: str) -> str:
        """Return the digest of a member whose file has this one: other scores, other digest."""
        if not self.adapted:
            return digest
        what = {"file": digest, "steps": list(self.steps), "columns": list(self.columns)}
        return sha256(canonical.encode(what)).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the form that manifests hold: only what there is to say."""
        found = {"kind": self.kind}
        lists = {"classes": self.classes, "steps": self.steps, "columns": self.columns}
        return {key: value for key, value in found.items() if value} | {
            key: list(value) for key, value in lists.items() if value
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        columns = part(list, data, "columns") if "columns" in data else []
        if not all(type(column) is int for column in columns):
            raise ValueError(f"columns are {columns!r:.80}, not all whole numbers")
        return cls(
            part(str, data, "kind") if "kind" in data else "",
            _texts(data, "classes"),
            _texts(data, "steps"),
            tuple(columns),
        )


AS_IT_IS = Output()


def identity_with_inputs(digest: str, inputs: Mapping[str, str]) -> str:
    """Return the digest of a member whose file has this one and takes the ensemble's inputs by other names.

    `inputs` are the ensemble's by the file's own.
    """
    if not inputs:
        return digest
    return sha256(canonical.encode({"file": digest, "inputs": dict(inputs)})).hexdigest()


def _texts(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Read a list of texts that may be missing."""
    found = part(list, data, key) if key in data else []
    if not all(isinstance(text, str) for text in found):
        raise ValueError(f"{key} are {found!r:.80}, not all text")
    return tuple(found)
