"""Labelled rows in memory, and members whose scores are written out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ensemble.data.dataset import Chunk
from ensemble.member import Member, Rows, Scores
from ensemble.refit.predictions import Predictions
from ensemble.refit.questions import NO_OR_YES, VALUE, Asked
from ensemble.servable import Servable
from ensemble.signature import Signature, TensorSpec
from ensemble.truth import Truth
from tests.support.members import servable, signature_of


@dataclass(frozen=True)
class InMemory:
    """Rows `x` [row, 2] whose first column says which row it is."""

    labels: Sequence[int] | None
    count: int = 0
    name: str = "validation"

    @property
    def rows(self) -> int:
        return self.count if self.labels is None else len(self.labels)

    @property
    def digest(self) -> str:
        return sha256(f"{self.name} {self.labels}".encode()).hexdigest()

    def batches(self, rows: int, start: int = 0, stop: int | None = None) -> Iterator[Chunk]:
        stop = self.rows if stop is None else stop
        for first in range(start, stop, rows):
            last = min(first + rows, stop)
            index = np.arange(first, last, dtype=np.float32)
            labels = None if self.labels is None else np.array(self.labels[first:last], np.int64)
            x = np.stack([index, np.zeros_like(index)], axis=1)
            yield Chunk({"x": x}, labels, first, Path(self.name), first)


@dataclass(frozen=True)
class Written:
    """Gives row i the i-th of its scores."""

    name: str
    scores: Sequence[Sequence[float]] | NDArray[Any]

    @property
    def signature(self) -> Signature:
        return signature_of(TensorSpec("x", "float32", (2,)), classes=len(self.scores[0]))

    @property
    def runtime(self) -> str:
        return "python"

    @property
    def digest(self) -> str:
        return sha256(self.name.encode()).hexdigest()

    def predict(self, rows: Rows) -> Scores:
        scores: Scores = np.asarray(self.scores, np.float32)[rows["x"][:, 0].astype(int)]
        return scores


@dataclass(frozen=True)
class World:
    """Random labels and members of different skill; `sharpness` by member name."""

    seed: int = 0
    rows: int = 60
    classes: int = 3
    sharpness: Mapping[str, float] = field(default_factory=lambda: {"blunt": 0.5, "fair": 1.5, "sharp": 3.0})

    def labels(self) -> list[int]:
        # Every class occurs, whatever the seed.
        rest = np.random.default_rng(self.seed).integers(0, self.classes, self.rows - self.classes)
        return [*range(self.classes), *rest.tolist()]

    def members(self) -> list[Member]:
        random = np.random.default_rng(self.seed + 1)
        truth = np.eye(self.classes)[self.labels()]
        made: list[Member] = []
        for name, sharpness in self.sharpness.items():
            odds = np.exp(sharpness * truth + random.normal(size=truth.shape))
            made.append(Written(name, (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)))
        return made

    def data(self) -> InMemory:
        return InMemory(self.labels())

    def servable(self, *more: Member, weights: Mapping[str, float] | None = None) -> Servable:
        return servable(*self.members(), *more, weights=weights)


def predictions(labels: Sequence[int], **scores: Sequence[Sequence[float]]) -> Predictions:
    """Predictions written out, by member."""
    arrays = tuple(np.array(rows, np.float32) for rows in scores.values())
    classes = tuple(f"class{index}" for index in range(arrays[0].shape[1]))
    return Predictions(tuple(scores), classes, np.array(labels, np.int64), arrays)


def asked(
    truth: Truth, told: ArrayLike, columns: Mapping[str, NDArray[Any]] | None = None, **members: ArrayLike
) -> Predictions:
    """Members' scores [row, column] of what is `told` of rows [row, column]; columns are c0, c1, ..."""
    table = np.asarray(told, np.float64)
    names = Asked(truth, tuple(f"c{column}" for column in range(table.shape[1])))
    values = truth is Truth.VALUES
    return Predictions(
        members=tuple(members),
        classes=VALUE if values else NO_OR_YES,
        labels=np.zeros(table.size, np.int64) if values else table.reshape(-1).astype(np.int64),
        scores=names.answers([np.asarray(given, np.float32) for given in members.values()], len(table)),
        kept=names.kept(columns or {}),
        asked=names,
        targets=table.reshape(-1) if values else None,
    )


@dataclass(frozen=True)
class Told(InMemory):
    """Rows as of `InMemory`, with what is true of them: labels or values [row, column]."""

    table: NDArray[Any] = field(default_factory=lambda: np.zeros((1, 1)))

    @property
    def rows(self) -> int:
        return len(self.table)

    def batches(self, rows: int, start: int = 0, stop: int | None = None) -> Iterator[Chunk]:
        counted = InMemory(None, count=len(self.table), name=self.name)
        for chunk in counted.batches(rows, start, stop):
            last = chunk.start + len(chunk.row_numbers)
            yield replace(chunk, labels=self.table[chunk.start : last])
