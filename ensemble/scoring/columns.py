"""The columns of the results: where a row is from, what is kept of it, what the ensemble says of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..data.chunk import Chunk
from ..errors import InvalidDataError
from ..member import Scores
from ..pooling.disagreement import disagreement, entropy
from ..truth import Truth
from .target import Target

OUTPUTS = ("scores", "label", "entropy", "disagreement")
MEMBER_SCORES = "member_scores"
Asked = Literal["none", "voters", "all"]
ERROR_COLUMNS = ("code", "message")
OWN_COLUMNS = ("source", "row", *OUTPUTS, MEMBER_SCORES)


@dataclass(frozen=True, slots=True)
class Columns:
    """What is written of each row; `members`: also every member's own scores."""

    outputs: tuple[str, ...] = ("scores",)
    members: bool = False

    def __post_init__(self) -> None:
        """Refuse outputs that there aren't."""
        unknown = sorted(set(self.outputs) - set(OUTPUTS))
        if unknown or not (self.outputs or self.members) or len(set(self.outputs)) < len(self.outputs):
            raise InvalidDataError(
                f"outputs must be some of {', '.join(OUTPUTS)}, each once; got {', '.join(self.outputs)!r}"
            )

    def check(self, truth: Truth) -> None:
        """Refuse what only scores of classes have."""
        wrong = sorted(set(self.outputs) - {"scores"})
        if wrong and truth is not Truth.CLASSES:
            raise InvalidDataError(
                f"{', '.join(wrong)} are of classes; this ensemble's scores are of {truth}: name scores alone"
            )

    @property
    def asked(self) -> Asked:
        """Whose own scores are needed."""
        if self.members:
            return "all"
        return "voters" if "disagreement" in self.outputs else "none"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found for some rows: the pooled scores, the members' that were needed, the voters' weights."""

    pooled: Scores
    by_member: Mapping[str, Scores]
    weights: Mapping[str, float]

    @classmethod
    def joined(cls, answers: Sequence["Answer"]) -> "Answer":
        """Return as one what was found for rows that follow each other."""
        first = answers[0]
        by_member = {
            name: np.concatenate([answer.by_member[name] for answer in answers]) for name in first.by_member
        }
        return cls(np.concatenate([answer.pooled for answer in answers]), by_member, first.weights)

    def slice(self, start: int, stop: int) -> "Answer":
        """Return what was found for the rows from `start` to before `stop`."""
        by_member = {name: scores[start:stop] for name, scores in self.by_member.items()}
        return Answer(self.pooled[start:stop], by_member, self.weights)


def results_schema(target: Target, columns: Columns, kept_types: Mapping[str, Any]) -> Any:
    """Return the Arrow schema of the results, with what was scored by what in the metadata."""
    scores = pa.list_(pa.float32(), target.class_count)
    types = {
        "scores": scores,
        "label": pa.string(),
        "entropy": pa.float32(),
        "disagreement": pa.float32(),
        MEMBER_SCORES: pa.struct([pa.field(name, scores, nullable=False) for name in target.members]),
    }
    told = (*columns.outputs, *([MEMBER_SCORES] if columns.members else []))
    fields = [
        pa.field("source", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        *(pa.field(name, dtype) for name, dtype in kept_types.items()),
        *(pa.field(name, types[name], nullable=False) for name in told),
    ]
    metadata = {
        "unisono.ensemble": target.ensemble,
        "unisono.version": str(target.version),
        "unisono.classes": json.dumps(target.classes, ensure_ascii=False),
        "unisono.weights_sha256": target.weights_sha256,
    }
    return pa.schema(fields, metadata=metadata)


def errors_schema(kept_types: Mapping[str, Any], identity: str | None) -> Any:
    """Return the Arrow schema of the list of rows that could not be scored."""
    names = [] if identity is None else [pa.field(identity, kept_types[identity])]
    return pa.schema(
        [
            pa.field("source", pa.string(), nullable=False),
            pa.field("row", pa.int64(), nullable=False),
            *names,
            pa.field("code", pa.string(), nullable=False),
            pa.field("message", pa.string(), nullable=False),
        ]
    )


def results_batch(chunk: Chunk, answer: Answer, classes: Sequence[str], schema: Any) -> Any:
    """Return the results of one chunk as a record batch of `schema`."""
    made: dict[str, Any] = {
        "source": lambda _: pa.repeat(pa.scalar(str(chunk.source), pa.string()), len(answer.pooled)),
        "row": lambda _: pa.array(chunk.row_numbers),
        "scores": lambda dtype: _lists(answer.pooled, dtype),
        "label": lambda _: pa.array([_name(classes, index) for index in answer.pooled.argmax(axis=1)]),
        "entropy": lambda _: pa.array(_nats(entropy(answer.pooled))),
        "disagreement": lambda _: pa.array(_nats(disagreement(answer.by_member, answer.weights))),
        MEMBER_SCORES: lambda dtype: pa.StructArray.from_arrays(
            [_lists(answer.by_member[field.name], field.type) for field in dtype], fields=list(dtype)
        ),
    }
    arrays = [chunk.kept.get(field.name) for field in schema]
    return pa.record_batch(
        [
            made[field.name](field.type) if array is None else array
            for array, field in zip(arrays, schema, strict=True)
        ],
        schema=schema,
    )


def _lists(scores: Scores, dtype: Any) -> Any:
    """Return [row, class] as a column of lists."""
    flat = pa.array(np.ascontiguousarray(scores).reshape(-1))
    lists = pa.FixedSizeListArray.from_arrays(flat, scores.shape[1])
    return lists if lists.type == dtype else lists.cast(dtype)


def _name(classes: Sequence[str], index: int) -> str:
    """The name of a class; its number where classes have no names."""
    return classes[index] if classes else str(index)


def _nats(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return values.astype(np.float32)
