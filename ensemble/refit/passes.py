"""Passes over the rows of a loss: shard by shard, wherever, added up so that every sum has the same bits.

Rule 1: shards are runs of so many rows, whatever does the work; what one comes to depends on its rows alone.
Rule 2: what shards come to is added up in pairs, pairs of pairs, and so on by number, never as it arrives.
Rule 3: blocks of a shard stay below the sizes from which BLAS shares a sum out among its threads.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

SHARD_ROWS = 65_536
# Float64 values in one block of rows: 256 KiB, so that it stays in the processor's cache.
BLOCK_VALUES = 32_768
# OpenBLAS splits a dot product of more than 10,000 values.
BLOCK_ROWS = 8192
# Stands for a row that gets no score at all where a slope is asked for: its square is still a float64.
SMALLEST_MIX = 1e-150


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What is asked of every row: its log, that and the slope, or the curvature, at some weights.

    `members`, by place, are those whose curvature is wanted; all others weigh zero.
    """

    kind: Literal["value", "slope", "curve"]
    weights: Vector
    members: tuple[int, ...] = ()

    def answer(self, scores: Matrix, row_weights: Vector) -> Vector:
        """Return the sums over these rows: the loss, the loss and then the gradient, or the Hessian, flat."""
        found = {"value": _value, "slope": _slope, "curve": _curve}[self.kind]
        total: Vector | None = None
        with np.errstate(divide="ignore"):
            for block in _blocks(scores, row_weights):
                part = found(self, *block)
                total = part if total is None else total + part
        return np.zeros(0) if total is None else total


class Passes(Protocol):
    """Whoever goes over the rows."""

    def shards(self, scores: Matrix, row_weights: Vector, question: Question) -> list[Vector]:
        """Return the answer of each shard, by number: of `scores[row, member]` and weights [row]."""
        ...


@dataclass(frozen=True, slots=True)
class Here:
    """Goes over the rows itself, one shard after another."""

    def shards(self, scores: Matrix, row_weights: Vector, question: Question) -> list[Vector]:
        """Return the answer of each shard."""
        return [question.answer(scores[rows], row_weights[rows]) for rows in shards_of(len(scores))]


HERE = Here()


def shards_of(rows: int) -> list[slice]:
    """Return the shards of so many rows."""
    return [slice(start, min(start + SHARD_ROWS, rows)) for start in range(0, rows, SHARD_ROWS)]


def summed(parts: Sequence[Vector]) -> Vector:
    """Add up at least one part: neighbours first, so that the sum depends on the parts' numbers alone."""
    while len(parts) > 1:
        pairs = [parts[index] + parts[index + 1] for index in range(0, len(parts) - 1, 2)]
        parts = pairs + list(parts[2 * len(pairs) :])
    return parts[0]


def _value(question: Question, scores: Matrix, row_weights: Vector) -> Vector:
    return np.array([-float(row_weights @ np.log(scores @ question.weights))])


def _slope(question: Question, scores: Matrix, row_weights: Vector) -> Vector:
    mixed = scores @ question.weights
    gain = scores.T @ (row_weights / np.maximum(mixed, SMALLEST_MIX))
    return np.concatenate([[-float(row_weights @ np.log(mixed))], -gain])


def _curve(question: Question, scores: Matrix, row_weights: Vector) -> Vector:
    members = list(question.members)
    part = scores if len(members) == scores.shape[1] else scores[:, members]
    mixed = np.maximum(part @ question.weights[members], SMALLEST_MIX)
    root = part * (np.sqrt(row_weights) / mixed)[:, None]
    return np.asarray((root.T @ root).ravel(), dtype=np.float64)


def _blocks(scores: Matrix, row_weights: Vector) -> Iterator[tuple[Matrix, Vector]]:
    size = max(1, min(BLOCK_ROWS, BLOCK_VALUES // scores.shape[1]))
    for start in range(0, len(scores), size):
        yield scores[start : start + size], row_weights[start : start + size]
