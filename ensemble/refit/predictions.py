"""Every member's scores over labelled data: all that learning weights needs to know of the members."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Chunk
from ..errors import InvalidDataError, MemberError
from ..member import Member, Scores
from ..servable import Servable
from .cache import ScoreArray, ScoresCache
from .fingerprints import Fingerprints, fingerprints

# Called with the rows done so far.
Progress = Callable[[int], None]

# How far a row's scores may be from summing to one: float16 softmax is within it, logits never are.
SUM_TOLERANCE = 1e-2


class LabelledData(Protocol):
    """What a refit asks of data; `ensemble.data.open_dataset(..., label=...)` gives it."""

    @property
    def rows(self) -> int:
        """How many rows there are."""
        ...

    @property
    def digest(self) -> str:
        """The sha256 of the data, in hex."""
        ...

    def batches(self, rows: int) -> Iterator[Chunk]:
        """Give all rows with their labels, in order, at most `rows` at a time."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """All members' scores over a dataset, weights or no weights."""

    members: tuple[str, ...]
    classes: tuple[str, ...]
    labels: NDArray[np.int64]  # [row], class indices
    scores: tuple[ScoreArray, ...]  # one a member, [row, class]; may be memory-mapped, read-only
    kept: Mapping[str, NDArray[Any]] = field(default_factory=dict)  # the data's other columns, [row]
    seconds: Mapping[str, float] = field(default_factory=dict)  # a row, of each member that was asked
    fingerprints: Fingerprints | None = None  # [row]; the same for rows of the same inputs

    @property
    def rows(self) -> int:
        """How many rows were scored."""
        return len(self.labels)

    def true_class_scores(self) -> NDArray[np.float64]:
        """Return what each member gave each row's true class, `[row, member]`."""
        rows = np.arange(self.rows)
        return np.stack([scores[rows, self.labels] for scores in self.scores], axis=1).astype(np.float64)

    def only(self, members: Sequence[int]) -> Self:
        """Return the scores of some of the members, by their place."""
        names = tuple(self.members[index] for index in members)
        return replace(self, members=names, scores=tuple(self.scores[index] for index in members))


def predict_all(
    servable: Servable,
    data: LabelledData,
    *,
    batch_size: int = 256,
    cache: ScoresCache | None = None,
    progress: Progress | None = None,
) -> Predictions:
    """Score all of `data` with every member of `servable`, voter or not, but those in `cache`.

    InvalidDataError for no rows, no labels, or labels outside the classes; MemberError, naming the member
    and the row, for scores that are not finite or not probabilities.
    """
    if data.rows == 0:
        raise InvalidDataError("the data holds no rows; weights can't be learned from nothing")
    classes = class_names(servable)
    shape = (data.rows, len(classes))
    scores: dict[str, ScoreArray] = {}
    with ExitStack() as filling:
        missing = []
        for member in servable.members:
            found = cache.find(member.digest, data.digest, shape) if cache else None
            if found is None:
                missing.append(member)
                found = np.empty(shape, dtype=np.float32)
                if cache:
                    found = filling.enter_context(cache.filling(member.digest, data.digest, shape))
            scores[member.name] = found
        wanted = [(member, scores[member.name]) for member in missing]
        run = _Run(wanted, len(classes), np.empty(data.rows, dtype=np.int64))
        run.through(data, batch_size, progress)
    kept = {name: np.concatenate(parts) for name, parts in run.kept.items()}
    seconds = {name: spent / data.rows for name, spent in run.seconds.items()}
    prints = np.concatenate(run.prints)
    return Predictions(tuple(scores), classes, run.labels, tuple(scores.values()), kept, seconds, prints)


@dataclass(slots=True)
class _Run:
    """One pass over the data: fills in the members' scores and the labels, gathers the kept columns."""

    wanted: Sequence[tuple[Member, ScoreArray]]
    classes: int
    labels: NDArray[np.int64]
    kept: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    prints: list[Fingerprints] = field(default_factory=list)

    def through(self, data: LabelledData, batch_size: int, progress: Progress | None) -> None:
        """Read and score all rows."""
        done = 0
        for chunk in data.batches(batch_size):
            found = _labels(chunk, self.classes)
            done = chunk.start + len(found)
            self.labels[chunk.start : done] = found
            self.prints.append(fingerprints(chunk.rows))
            for name, column in chunk.kept.items():
                self.kept.setdefault(name, []).append(np.asarray(column))
            for member, scores in self.wanted:
                began = perf_counter()
                scores[chunk.start : done] = _checked(member, member.predict(chunk.rows), chunk.start)
                self.seconds[member.name] = self.seconds.get(member.name, 0.0) + perf_counter() - began
            if progress is not None:
                progress(done)
        if done != data.rows:
            raise InvalidDataError(
                f"the data changed while it was read: {data.rows} rows at first, then {done}"
            )


def class_names(servable: Servable) -> tuple[str, ...]:
    """Return the classes' names: their numbers, where the ensemble doesn't name them."""
    size = (servable.signature.outputs[0].shape or (0,))[-1]
    if not servable.classes and size < 1:
        raise InvalidDataError(
            f"{servable.name} doesn't say how many classes it has: publish it with their names"
        )
    return servable.classes or tuple(str(index) for index in range(size))


def _labels(chunk: Chunk, classes: int) -> NDArray[np.int64]:
    if chunk.labels is None:
        raise InvalidDataError("weights are learned from labels, and this data has none: name their column")
    outside = (chunk.labels < 0) | (chunk.labels >= classes)
    if outside.any():
        first = int(np.argmax(outside))
        raise InvalidDataError(
            f"row {chunk.start + first} has label {int(chunk.labels[first])};"
            f" the classes are 0 to {classes - 1}"
        )
    return chunk.labels


def _checked(member: Member, scores: Scores, start: int) -> Scores:
    """Refuse scores that no loss can be computed from."""
    broken = ~np.isfinite(scores).all(axis=1)
    if broken.any():
        raise MemberError(
            f"member {member.name!r} gives {int(broken.sum())} of {len(scores)} rows scores that are not"
            f" finite, the first is row {start + int(np.argmax(broken))}: look at that row, or publish the"
            " ensemble without the member"
        )
    off = (scores.min(axis=1) < 0) | (np.abs(scores.sum(axis=1, dtype=np.float64) - 1) > SUM_TOLERANCE)
    if off.any():
        row = int(np.argmax(off))
        raise MemberError(
            f"member {member.name!r} gives row {start + row} scores from {scores[row].min():.4g} to"
            f" {scores[row].max():.4g} that sum to {scores[row].sum():.4g}; log-loss needs probabilities:"
            " publish the member with a softmax as its last step"
        )
    return scores
