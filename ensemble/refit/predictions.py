"""Every member's scores over labelled data: all that learning weights needs to know of the members."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from time import perf_counter
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Chunk
from ..errors import InvalidDataError, MemberError
from ..member import Member, Scores
from ..servable import Servable
from .cache import ScoreArray, ScoresCache, Shard, Sharder, Sheet
from .fingerprints import Fingerprints, fingerprints

# Called with the rows done so far.
Progress = Callable[[int], None]

# How far a row's scores may be from summing to one: float16 softmax is within it, logits never are.
SUM_TOLERANCE = 1e-2
CHANGED = "the data changed while it was read"
# Rows whose scores are looked at, at a time.
BLOCK_ROWS = 4096


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
    scores: tuple[ScoreArray | Sheet, ...]  # one a member, [row, class]
    kept: Mapping[str, NDArray[Any]] = field(default_factory=dict)  # the data's other columns, [row]
    seconds: Mapping[str, float] = field(default_factory=dict)  # a row, of each member that was asked
    fingerprints: Fingerprints | None = None  # [row]; the same for rows of the same inputs

    @property
    def rows(self) -> int:
        """How many rows were scored."""
        return len(self.labels)

    def true_class_scores(self) -> NDArray[np.float64]:
        """Return what each member gave each row's true class, `[row, member]`."""
        found = np.empty((self.rows, len(self.members)))
        for start in range(0, self.rows, BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            labels = self.labels[rows]
            for index, scores in enumerate(self.scores):
                found[rows, index] = scores[rows][np.arange(len(labels)), labels]
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
    progress: Progress | None = None,
) -> Predictions:
    """Score all of `data` with every member of `servable`, voter or not, but those in `cache`.

    InvalidDataError for no rows, no labels, or labels outside the classes; MemberError, naming the member
    and the row, for scores that are not finite or not probabilities.
    """
    if data.rows == 0:
        raise InvalidDataError("the data holds no rows; weights can't be learned from nothing")
    classes = class_names(servable)
    read = _Read(len(classes), np.empty(data.rows, dtype=np.int64))
    if cache is None:
        scores = [(member, np.empty((data.rows, len(classes)), np.float32)) for member in servable.members]
        for chunk in read.through(data, batch_size):
            read.score(chunk, scores, 0)
            _tell(progress, chunk)
        sheets: dict[str, ScoreArray | Sheet] = {member.name: found for member, found in scores}
    else:
        sheets = _Cached(cache, servable.members, data, read).sheets(batch_size, progress)
    return Predictions(
        tuple(sheets),
        classes,
        read.labels,
        tuple(sheets.values()),
        {name: np.concatenate(parts) for name, parts in read.kept.items()},
        {name: spent / max(read.scored[name], 1) for name, spent in read.seconds.items()},
        np.concatenate(read.prints),
    )


@dataclass(slots=True)
class _Read:
    """What the data says of its rows, and how long the members took."""

    classes: int
    labels: NDArray[np.int64]
    kept: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    prints: list[Fingerprints] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    scored: dict[str, int] = field(default_factory=dict)

    def through(self, data: LabelledData, batch_size: int) -> Iterator[Chunk]:
        """Read all rows, and hand them on."""
        done = 0
        for chunk in data.batches(batch_size):
            found = _labels(chunk, self.classes)
            done = chunk.start + len(found)
            self.labels[chunk.start : done] = found
            self.prints.append(fingerprints(chunk.rows))
            for name, column in chunk.kept.items():
                self.kept.setdefault(name, []).append(np.asarray(column))
            yield chunk
        if done != data.rows:
            raise InvalidDataError(f"{CHANGED}: {data.rows} rows at first, then {done}")

    def score(self, chunk: Chunk, into: Sequence[tuple[Member, ScoreArray]], start: int) -> None:
        """Write these members' scores of a chunk to arrays whose first row is row `start` of the data."""
        count = len(chunk.row_numbers)
        for member, scores in into:
            began = perf_counter()
            found = _checked(member, member.predict(chunk.rows), chunk.start)
            scores[chunk.start - start : chunk.start - start + count] = found
            self.seconds[member.name] = self.seconds.get(member.name, 0.0) + perf_counter() - began
            self.scored[member.name] = self.scored.get(member.name, 0) + count


@dataclass(frozen=True, slots=True)
class _Cached:
    """Scores that are kept by shard: read what there is, score what there isn't."""

    cache: ScoresCache
    members: Sequence[Member]
    data: LabelledData
    read: _Read

    def sheets(self, batch_size: int, progress: Progress | None) -> dict[str, ScoreArray | Sheet]:
        """Return the scores of every member."""
        sharder = Sharder()
        for chunk in self.read.through(self.data, batch_size):
            sharder.add(chunk)
        shards = sharder.shards()
        missing = {shard: found for shard in shards if (found := self._missing(shard))}
        for _, run in groupby(shards, key=missing.__contains__):
            # Shards that follow each other are read in one go: some formats have no way to their middle.
            self._fill([shard for shard in run if shard in missing], missing, batch_size, progress)
        if progress is not None:
            progress(self.data.rows)
        return {
            member.name: self.cache.sheet(member.digest, shards, self.read.classes) for member in self.members
        }

    def _missing(self, shard: Shard) -> list[Member]:
        shape = (shard.stop - shard.start, self.read.classes)
        return [member for member in self.members if not self.cache.has(member.digest, shard.digest, shape)]

    def _fill(
        self,
        shards: Sequence[Shard],
        missing: Mapping[Shard, Sequence[Member]],
        batch_size: int,
        progress: Progress | None,
    ) -> None:
        if not shards:
            return
        chunks = self.data.batches(batch_size, shards[0].start, shards[-1].stop)
        for shard, parts in groupby(_cut(chunks, shards), key=itemgetter(0)):
            shape, again = (shard.stop - shard.start, self.read.classes), Sharder()
            with ExitStack() as filling:
                into = [
                    (member, filling.enter_context(self.cache.filling(member.digest, shard.digest, shape)))
                    for member in missing[shard]
                ]
                for _, part in parts:
                    again.add(part)
                    self.read.score(part, into, shard.start)
                    _tell(progress, part)
                # Or another shard's scores would be kept under this one's digest.
                if [found.digest for found in again.shards()] != [shard.digest]:
                    raise InvalidDataError(f"{CHANGED}: rows {shard.start} to {shard.stop - 1}")


def _cut(chunks: Iterator[Chunk], shards: Sequence[Shard]) -> Iterator[tuple[Shard, Chunk]]:
    """Give the parts of chunks that lie in one shard each, in order."""
    coming = iter(shards)
    shard = next(coming)
    for chunk in chunks:
        done, count = 0, len(chunk.row_numbers)
        while done < count:
            if chunk.start + done == shard.stop:
                shard = next(coming)
            taken = min(count - done, shard.stop - chunk.start - done)
            yield shard, chunk.slice(done, taken)
            done += taken


def _tell(progress: Progress | None, chunk: Chunk) -> None:
    if progress is not None:
        progress(chunk.start + len(chunk.row_numbers))


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
