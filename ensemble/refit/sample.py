"""Labelled rows as learning sees them: all members' scores, how much each row counts, which belong together.

Rows that belong together (one patient's, one day's) are no independent evidence: they are kept in one fold,
and count as one when it is asked how sure a mean is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidRequestError
from ..member import Scores
from .blend import Blend
from .objective import Matrix, Vector
from .passes import Passes
from .predictions import Predictions

Places = NDArray[np.int64]
# Rows whose scores are held in float64 at a time.
BLOCK_ROWS = 4096
# Of rows in the order of time, so many runs count as one each.
TIME_RUNS = 40


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Some rows of `predictions`. Everything else is [row], in the order of `place`."""

    predictions: Predictions
    place: Places  # of each row in the predictions
    true_class: Matrix  # [row, member]
    weights: Vector | None = None  # how much each row counts; None: all alike
    groups: Places | None = None  # which rows belong together; of rows in time, their order
    in_time: bool = False
    passes: Passes | None = None  # who goes over `true_class`, where it is too large for one process

    @classmethod
    def of(cls, predictions: Predictions) -> Self:
        """Take all rows, all alike, and independent unless several are questions of one row of the data."""
        place, each = np.arange(predictions.rows), predictions.asked.each
        groups = None if each == 1 else place // each
        return cls(predictions, place, predictions.true_class_scores(), groups=groups)

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.place)

    @property
    def each(self) -> int:
        """How many of them are one row of the data."""
        return self.predictions.asked.each

    @property
    def members(self) -> int:
        """How many members scored them."""
        return int(self.true_class.shape[1])

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.predictions.classes)

    @property
    def labels(self) -> Places:
        """The true classes."""
        return self.predictions.labels[self.place]

    def by_class(self) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """Give which rows are of each class, one after another: all at once are a byte a row and class."""
        labels = self.labels
        for index, name in enumerate(self.predictions.classes):
            yield name, labels == index

    @property
    def targets(self) -> Vector:
        """What the values should be; `true_class` then holds what the members say they are."""
        if self.predictions.targets is None:
            raise InvalidRequestError("these rows have classes, no values")
        return self.predictions.targets[self.place]

    @property
    def clusters(self) -> Places | None:
        """Which rows count as one piece of evidence; None: each by itself."""
        if self.groups is None or not self.in_time:
            return self.groups
        ranks = np.unique(self.groups, return_inverse=True)[1]
        return np.asarray(ranks * TIME_RUNS // (ranks.max() + 1), dtype=np.int64)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Self:
        """Return some of the rows."""
        return replace(
            self,
            place=self.place[rows],
            true_class=self.true_class[rows],
            weights=None if self.weights is None else self.weights[rows],
            groups=None if self.groups is None else self.groups[rows],
            passes=None,
        )

    def thinned(self, rows: int) -> Self:
        """Return every n-th row, at most `rows` of them; of rows that ask several questions, all of these."""
        step, each = -(-self.rows // rows), self.each
        if each == 1:
            return self.take(slice(None, None, step))
        ranks = np.unique(self.place // each, return_inverse=True)[1]
        return self.take(ranks % step == 0)

    def only(self, members: Sequence[int]) -> Self:
        """Return the same rows as if there were only these members."""
        kept = list(members)
        scores = self.true_class[:, kept]
        return replace(self, predictions=self.predictions.only(kept), true_class=scores, passes=None)

    def blocks(self, members: Sequence[int] | None = None) -> Iterator[tuple[slice, dict[str, Scores]]]:
        """Give which rows, and these members' scores of them `[row, class]`, some thousand at a time."""
        found, wanted = self.predictions, range(self.members) if members is None else members
        for start in range(0, self.rows, BLOCK_ROWS):
            rows = slice(start, min(start + BLOCK_ROWS, self.rows))
            place = self.place[rows]
            yield rows, {found.members[index]: found.scores[index][place] for index in wanted}

    def true_class_scores(self, blend: Blend) -> Vector:
        """Return what `blend` gives each row's true class."""
        if blend.plain:
            return np.asarray(self.true_class @ blend.weights, dtype=np.float64)
        pool, labels, found = blend.pool(self.predictions.members), self.labels, np.empty(self.rows)
        for rows, scores in self.blocks(blend.voters):
            pooled = pool.exact(scores)
            found[rows] = pooled[np.arange(len(pooled)), labels[rows]]
        return found


def mean_and_error(
    values: Vector, weights: Vector | None = None, clusters: Places | None = None
) -> tuple[float, float]:
    """Return the mean of `values`, weighed, and its standard error; not a number where it can't be known."""
    shares = np.full(len(values), 1 / len(values)) if weights is None else weights / weights.sum()
    mean = float(shares @ values)
    pulls = shares * (values - mean)
    if clusters is not None:
        pulls = np.bincount(np.unique(clusters, return_inverse=True)[1], weights=pulls)
    count = len(pulls)
    if count < 2:  # noqa: PLR2004 - one value has no spread
        return mean, float("nan")
    return mean, float(np.sqrt(count / (count - 1) * (pulls @ pulls)))
