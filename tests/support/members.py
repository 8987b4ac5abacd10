"""Members small enough to check by hand, and a servable made of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from threading import Event

import numpy as np

from ensemble.member import Member, Rows, Scores, row_count
from ensemble.pooling.linear import LinearPool
from ensemble.servable import Servable
from ensemble.signature import Signature, TensorSpec
from ensemble.weights import Weights


def signature_of(*inputs: TensorSpec, classes: int = 3) -> Signature:
    """`inputs` in, float32 `scores` over `classes` out; without inputs, `x` float32 [2]."""
    return Signature(
        inputs or (TensorSpec("x", "float32", (2,)),), (TensorSpec("scores", "float32", (classes,)),)
    )


@dataclass(frozen=True, slots=True)
class Constant:
    """Gives every row the same scores."""

    name: str
    scores: tuple[float, ...] = (0.5, 0.25, 0.25)
    signature: Signature = field(default_factory=signature_of)
    runtime: str = "python"

    @property
    def digest(self) -> str:
        return _digest(self)

    def predict(self, rows: Rows) -> Scores:
        return np.tile(np.asarray(self.scores, np.float32), (row_count(rows), 1))


@dataclass(frozen=True, slots=True)
class SoftmaxLinear:
    """softmax(x @ matrix), over the inputs it names, flattened and side by side in that order.

    Added up feature by feature in float64, so that a row's scores never depend on its neighbours.
    """

    name: str
    matrix: tuple[tuple[float, ...], ...] = ((1.0, 0.0, -1.0), (0.0, 1.0, 0.5))  # [feature][class]
    signature: Signature = field(default_factory=signature_of)
    runtime: str = "python"

    @property
    def digest(self) -> str:
        return _digest(self)

    def predict(self, rows: Rows) -> Scores:
        count = row_count(rows)
        parts = [np.reshape(rows[spec.name], (count, -1)) for spec in self.signature.inputs]
        features = np.concatenate(parts, axis=1).astype(np.float64)
        logits = np.zeros((count, len(self.matrix[0])))
        for index, row in enumerate(self.matrix):
            logits += features[:, index, None] * np.asarray(row)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores: Scores = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
        return scores


@dataclass(frozen=True, slots=True)
class Slow:
    """Takes until `release` is set; `started` says that it has begun. Takes no real time by itself."""

    name: str
    inner: Member = field(default_factory=lambda: Constant("inner"))
    started: Event = field(default_factory=Event)
    release: Event = field(default_factory=Event)
    runtime: str = "python"

    @property
    def digest(self) -> str:
        return _digest(self)

    @property
    def signature(self) -> Signature:
        return self.inner.signature

    def predict(self, rows: Rows) -> Scores:
        self.started.set()
        if not self.release.wait(timeout=30):
            raise TimeoutError(f"nobody released member {self.name!r}")
        return self.inner.predict(rows)


@dataclass(frozen=True, slots=True)
class Failing:
    """Raises `error` whatever it is asked."""

    name: str
    error: Exception = field(default_factory=lambda: RuntimeError("the device is gone"))
    signature: Signature = field(default_factory=signature_of)
    runtime: str = "python"

    @property
    def digest(self) -> str:
        return _digest(self)

    def predict(self, rows: Rows) -> Scores:  # noqa: ARG002 - it fails whatever the rows
        raise self.error


def servable(
    *members: Member, weights: Mapping[str, float] | None = None, name: str = "digits", version: int = 1
) -> Servable:
    """An ensemble of `members`, weighed alike unless told, with the signature of the first."""
    weighed = Weights(weights) if weights else Weights.uniform(member.name for member in members)
    first = members[0].signature
    classes = tuple(f"class{index}" for index in range(first.outputs[0].shape[0]))
    return Servable(name, version, first, classes, members, weighed, LinearPool(weighed))


def _digest(member: Member) -> str:
    return sha256(f"{type(member).__name__} {member.name}".encode()).hexdigest()
