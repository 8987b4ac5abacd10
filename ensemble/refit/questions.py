"""Rows that ask several questions: a row for each label, or each value.

A row with labels is as many rows of two classes, no and yes; a row with values as many rows of one value.
With one set of weights for all columns, what is known of learning from classes then holds for these.
Questions of one row are no independent evidence: they are kept together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..truth import Truth
from .cache import ScoreArray, Sheet

NO_OR_YES = ("no", "yes")
VALUE = ("value",)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """One member's answers, [question, class]: float64, so that no and yes add up to 1."""

    scores: ScoreArray | Sheet  # [row, column]
    shape: tuple[int, int]  # of the scores
    truth: Truth

    def __getitem__(self, questions: NDArray[np.int64] | slice) -> NDArray[Any]:
        """Return some answers, in the order asked for; each row's scores are read once."""
        rows, columns = self.shape
        wanted = np.arange(*questions.indices(rows * columns)) if isinstance(questions, slice) else questions
        places, back = np.unique(wanted // columns, return_inverse=True)
        given = np.asarray(self.scores[places], dtype=np.float64)[back, wanted % columns]
        if self.truth is Truth.VALUES:
            return given[:, None]
        return np.stack([1 - given, given], axis=1)


@dataclass(frozen=True, slots=True)
class Asked:
    """What each row is asked: nothing but its class where there are no names."""

    truth: Truth = Truth.CLASSES
    names: tuple[str, ...] = ()  # of the labels, or of the values

    @property
    def each(self) -> int:
        """How many questions a row is."""
        return max(len(self.names), 1)

    def kept(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return columns [row] as columns [question]."""
        return {name: np.repeat(column, self.each) for name, column in columns.items() if column.ndim == 1}

    def answers(
        self, scores: Sequence[ScoreArray | Sheet], rows: int
    ) -> tuple[ScoreArray | Sheet | Answers, ...]:
        """Return members' scores [row, column] as answers [question, class]."""
        if self.truth is Truth.CLASSES:
            return tuple(scores)
        return tuple(Answers(each, (rows, len(self.names)), self.truth) for each in scores)

    def parts(self, place: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
        """Return which of the questions at `place` are about which label or value; nothing for one alone."""
        if self.each == 1:
            return {}
        return {name: place % self.each == index for index, name in enumerate(self.names)}
