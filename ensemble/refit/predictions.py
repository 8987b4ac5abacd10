"""Every member's scores over labelled data: all that learning weights needs to know of the members.

Where rows have several labels, or values, each is a row of its own here: see `questions`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Chunk
from ..errors import InvalidDataError, UnavailableError
from ..servable import Servable
from ..truth import Truth
from .cache import ScoreArray, ScoresCache, Sharder, Sheet
from .fingerprints import Fingerprints, fingerprints
from .questions import NO_OR_YES, VALUE, Answers, Asked
from .sheets import CHANGED, Filler, FillsHere, Progress, Timed, without_scores

__all__ = ["LabelledData", "Predictions", "Progress", "class_names", "predict_all"]

# Rows whose scores are looked at, at a time.
BLOCK_ROWS = 4096
# More true-class scores than these, 512 MiB, are kept in a file, where there is a folder for it.
TRUE_CLASS_IN_MEMORY = 1 << 26


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

    def batches(self, rows: int, start: int = 0, stop: int | None = None) -> Iterator[Chunk]:
        """Give the rows from `start` to before `stop`, labelled, in order, at most `rows` at a time."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """All members' scores over a dataset, weights or no weights."""

    members: tuple[str, ...]
    classes: tuple[str, ...]
    labels: NDArray[np.int64]  # [row], class indices
    scores: tuple[ScoreArray | Sheet | Answers, ...]  # one a member, [row, class]
    kept: Mapping[str, NDArray[Any]] = field(default_factory=dict)  # the data's other columns, [row]
    seconds: Mapping[str, float] = field(default_factory=dict)  # a row, of each member that was asked
    fingerprints: Fingerprints | None = None  # [row]; the same for rows of the same inputs
    scratch: Path | None = None  # a folder for what memory can't hold
    asked: Asked = field(default_factory=Asked)
    targets: NDArray[np.float64] | None = None  # [row], where scores are values

    @property
    def rows(self) -> int:
        """How many rows there are here."""
        return len(self.labels)

    @property
    def data_rows(self) -> int:
        """How many rows the data has."""
        return self.rows // self.asked.each

    def true_class_scores(self) -> NDArray[np.float64]:
        """Return what each member gave each row's true class, `[row, member]`; if large, a np.memmap."""
        found = self._empty((self.rows, len(self.members)))
        for start in range(0, self.rows, BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            labels = self.labels[rows]
            for index, scores in enumerate(self.scores):
                found[rows, index] = scores[rows][np.arange(len(labels)), labels]
        return found

    def _empty(self, shape: tuple[int, int]) -> NDArray[np.float64]:
        if self.scratch is None or shape[0] * shape[1] <= TRUE_CLASS_IN_MEMORY:
            return np.empty(shape)
        with NamedTemporaryFile(dir=self.scratch, prefix="true_class", suffix=".npy", delete=False) as file:
            found: NDArray[np.float64] = np.lib.format.open_memmap(
                file.name, mode="w+", dtype=np.float64, shape=shape
            )
        return found

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
    filler: Filler | None = None,
    progress: Progress | None = None,
) -> Predictions:
    """Score all of `data` with every member of `servable`, voter or not, but those in `cache`.

    `filler` fills the cache, this process unless given. InvalidDataError for no rows, no labels, or labels
    outside the classes; MemberError, naming the member and the row, for scores that are not finite or not
    probabilities.
    """
    if data.rows == 0:
        raise InvalidDataError("the data holds no rows; weights can't be learned from nothing")
    classes = class_names(servable)
    read = _Read(len(classes), servable.truth, timed=Timed(truth=servable.truth))
    if cache is None:
        scores = [(member, np.empty((data.rows, len(classes)), np.float32)) for member in servable.members]
        _tell(progress, 0)
        for chunk in read.through(data, batch_size):
            stop = chunk.start + len(chunk.row_numbers)
            for member, found in scores:
                found[chunk.start : stop] = read.timed.score(member, chunk.rows, chunk.start)
            _tell(progress, stop)
        sheets: dict[str, ScoreArray | Sheet] = {member.name: found for member, found in scores}
    else:
        filler = filler or FillsHere(servable.members, len(classes), servable.truth)
        sheets = _sheets(servable, data, read, cache, filler, (batch_size, progress))
    return read.predictions(sheets, classes)


@dataclass(slots=True)
class _Read:
    """What the data says of its rows, and how long the members took."""

    columns: int
    truth: Truth
    labels: list[NDArray[Any]] = field(default_factory=list)
    kept: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    prints: list[Fingerprints] = field(default_factory=list)
    timed: Timed = field(default_factory=Timed)

    def through(self, data: LabelledData, batch_size: int) -> Iterator[Chunk]:
        """Read all rows, and hand them on."""
        done = 0
        for chunk in data.batches(batch_size):
            self.labels.append(_labels(chunk, self.columns, self.truth))
            done = chunk.start + len(self.labels[-1])
            self.prints.append(fingerprints(chunk.rows))
            for name, column in chunk.kept.items():
                self.kept.setdefault(name, []).append(np.asarray(column))
            yield chunk
        if done != data.rows:
            raise InvalidDataError(f"{CHANGED}: {data.rows} rows at first, then {done}")

    def predictions(self, sheets: Mapping[str, ScoreArray | Sheet], columns: tuple[str, ...]) -> Predictions:
        """Return what was read, and the members' scores, as rows to learn from."""
        told, kept = np.concatenate(self.labels), {}
        for name, parts in self.kept.items():
            kept[name] = np.concatenate(parts)
        asked = Asked(self.truth) if self.truth is Truth.CLASSES else Asked(self.truth, columns)
        flat = told.reshape(-1)
        values = self.truth is Truth.VALUES
        return Predictions(
            tuple(sheets),
            {Truth.CLASSES: columns, Truth.LABELS: NO_OR_YES, Truth.VALUES: VALUE}[self.truth],
            np.zeros(len(flat), dtype=np.int64) if values else flat.astype(np.int64),
            asked.answers(tuple(sheets.values()), len(told)),
            kept if asked.each == 1 else asked.kept(kept),
            self.timed.each_row(),
            np.concatenate(self.prints),
            asked=asked,
            targets=flat.astype(np.float64) if values else None,
        )


def _sheets(
    servable: Servable,
    data: LabelledData,
    read: _Read,
    cache: ScoresCache,
    filler: Filler,
    told: tuple[int, Progress | None],
) -> dict[str, ScoreArray | Sheet]:
    """Return the scores of every member, by way of the cache."""
    sharder, (batch_size, progress) = Sharder(), told
    for chunk in read.through(data, batch_size):
        sharder.add(chunk)
    shards, members = sharder.shards(), servable.members
    missing = without_scores(cache, shards, members, read.columns)
    there = data.rows - sum(shard.stop - shard.start for shard in missing)
    _tell(progress, there)
    if missing:
        found = filler.fill(cache, data, missing, batch_size, lambda done: _tell(progress, there + done))
        read.timed.add(found.seconds, found.scored)
    if left := without_scores(cache, missing, members, read.columns):
        raise UnavailableError(
            f"{cache.folder}: the scores of rows {left[0].start} to {left[0].stop - 1} are not there after"
            " they were worked out: the folder must be the same one for all workers"
        )
    _tell(progress, data.rows)
    return {member.name: cache.sheet(member.digest, shards, read.columns, len(members)) for member in members}


def _tell(progress: Progress | None, rows: int) -> None:
    if progress is not None:
        progress(rows)


def class_names(servable: Servable) -> tuple[str, ...]:
    """Return the classes' names: their numbers, where the ensemble doesn't name them."""
    size = (servable.signature.outputs[0].shape or (0,))[-1]
    if not servable.classes and size < 1:
        raise InvalidDataError(
            f"{servable.name} doesn't say how many classes it has: publish it with their names"
        )
    return servable.classes or tuple(str(index) for index in range(size))


def _labels(chunk: Chunk, classes: int, truth: Truth) -> NDArray[Any]:
    if chunk.labels is None:
        raise InvalidDataError("weights are learned from labels, and this data has none: name their column")
    if truth is not Truth.CLASSES:
        if chunk.labels.shape[1:] != (classes,):
            raise InvalidDataError(
                f"labels have shape {list(chunk.labels.shape[1:])} a row; the members give {classes} {truth}"
            )
        return chunk.labels
    outside = (chunk.labels < 0) | (chunk.labels >= classes)
    if outside.any():
        first = int(np.argmax(outside))
        raise InvalidDataError(
            f"row {chunk.start + first} has label {int(chunk.labels[first])};"
            f" the classes are 0 to {classes - 1}"
        )
    return chunk.labels
