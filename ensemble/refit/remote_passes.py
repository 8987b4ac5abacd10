"""Passes over a matrix in a file, by an executor's workers.

Each question is a job of its own. That costs the start of the workers, which is little beside a pass over
what doesn't fit into memory; small matrices are no work for many.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..executors.executor import Executor, Report, Result, Task
from .passes import HERE, Matrix, Question, Vector, shards_of

# Scores, of 8 bytes each, from which on it pays to ask others.
LARGE = 1 << 28


@dataclass(frozen=True, slots=True)
class PassWork:
    """One question to all shards of the matrix `[row, member]` in a file; `weights` is that of the rows'."""

    matrix: Path
    weights: Path
    question: Question

    def start(self, threads: int) -> Task:  # noqa: ARG002 - other threads must not add up in another order
        """Map the files, and return what answers for one shard."""
        scores = np.load(self.matrix, mmap_mode="r", allow_pickle=False)
        row_weights = np.load(self.weights, mmap_mode="r", allow_pickle=False)
        shards = shards_of(len(scores))

        def task(item: int, report: Report) -> Result:
            rows = shards[item]
            found = self.question.answer(scores[rows], row_weights[rows])
            report(item, rows.stop - rows.start)
            return {"shard": item, "sums": found.tolist()}

        return task


@dataclass(slots=True)
class RemotePasses:
    """Has an executor go over the matrix in `file`; the weights of its rows are put beside it."""

    executor: Executor
    file: Path
    _weights: Vector | None = field(default=None, init=False)

    def shards(self, scores: Matrix, row_weights: Vector, question: Question) -> list[Vector]:
        """Return the answer of each shard; of `scores` only the size counts, they must be the file's."""
        if scores.size < LARGE:
            return HERE.shards(scores, row_weights, question)
        weights = self.file.with_suffix(".weights.npy")
        if self._weights is not row_weights:
            np.save(weights, row_weights)
            self._weights = row_weights
        count = len(shards_of(len(scores)))
        work = PassWork(self.file, weights, question)
        found = {
            result["shard"]: np.array(result["sums"])
            for result in self.executor.run(work, range(count), lambda *_: None)
        }
        return [found[shard] for shard in range(count)]
