"""Members' scores of shards: those that are missing from a cache, and how long they took."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from ..data.chunk import Chunk
from ..errors import InvalidDataError, MemberError
from ..member import Member, Rows, Scores
from ..truth import Truth
from .cache import ScoreArray, ScoresCache, Shard, Sharder

# Called with the rows done so far.
Progress = Callable[[int], None]

# How far a row's scores may be from summing to one: float16 softmax is within it, logits never are.
SUM_TOLERANCE = 1e-2
CHANGED = "the data changed while it was read"


@dataclass(slots=True)
class Timed:
    """Asks members; keeps by name how many rows they scored, and in how many seconds."""

    seconds: dict[str, float] = field(default_factory=dict)
    scored: dict[str, int] = field(default_factory=dict)
    truth: Truth = Truth.CLASSES  # what scores have to be, for any loss to be in them

    def score(self, member: Member, rows: Rows, start: int) -> Scores:
        """Return the scores of rows, of which the first is row `start`; MemberError if no loss is in them."""
        began = perf_counter()
        found = _checked(member, member.predict(rows), start, self.truth)
        self.add({member.name: perf_counter() - began}, {member.name: len(found)})
        return found

    def add(self, seconds: Mapping[str, float], scored: Mapping[str, int]) -> None:
        """Count in some more, by member."""
        for name, spent in seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + spent
            self.scored[name] = self.scored.get(name, 0) + scored[name]

    def each_row(self) -> dict[str, float]:
        """Return the seconds a row of each member that was asked."""
        return {name: spent / max(self.scored[name], 1) for name, spent in self.seconds.items()}


class ReadsRows(Protocol):
    """Data that can be read from the middle."""

    def batches(self, rows: int, start: int = 0, stop: int | None = None) -> Iterator[Chunk]:
        """Give the rows from `start` to before `stop`, in order, at most `rows` at a time."""
        ...


class Filler(Protocol):
    """Whoever fills a cache."""

    def fill(
        self, cache: ScoresCache, data: Any, shards: Sequence[Shard], batch_size: int, progress: Progress
    ) -> Timed:
        """Score what of these shards, which follow each other with gaps, isn't in the cache.

        `progress` is told how many of their rows are done.
        """
        ...


@dataclass(frozen=True, slots=True)
class FillsHere:
    """Fills a cache in this process with what loaded members say."""

    members: Sequence[Member]
    classes: int
    truth: Truth = Truth.CLASSES

    def fill(
        self,
        cache: ScoresCache,
        data: ReadsRows,
        shards: Sequence[Shard],
        batch_size: int,
        progress: Progress,
    ) -> Timed:
        """Score the shards in order; runs of them are read in one go: some formats have no middle."""
        timed, done = Timed(truth=self.truth), 0
        for run in _runs(shards):
            chunks = data.batches(batch_size, run[0].start, run[-1].stop)
            for shard, parts in groupby(_cut(chunks, run), key=itemgetter(0)):
                self.score(cache, shard, (part for _, part in parts), timed)
                done += shard.stop - shard.start
                progress(done)
        return timed

    def score(self, cache: ScoresCache, shard: Shard, chunks: Iterable[Chunk], timed: Timed) -> None:
        """Score one shard, whose rows are `chunks`; InvalidDataError if they aren't any more."""
        shape, again = (shard.stop - shard.start, self.classes), Sharder()
        missing = [one for one in self.members if not cache.has(one.digest, shard.digest, shape)]
        with ExitStack() as filling:
            into: list[tuple[Member, ScoreArray]] = [
                (member, filling.enter_context(cache.filling(member.digest, shard.digest, shape)))
                for member in missing
            ]
            for chunk in chunks:
                again.add(chunk)
                for member, scores in into:
                    first = chunk.start - shard.start
                    found = timed.score(member, chunk.rows, chunk.start)
                    scores[first : first + len(found)] = found
            # Or another shard's scores would be kept under this one's digest.
            if [found.digest for found in again.shards()] != [shard.digest]:
                raise InvalidDataError(f"{CHANGED}: rows {shard.start} to {shard.stop - 1}")


def without_scores(
    cache: ScoresCache, shards: Sequence[Shard], members: Sequence[Member], classes: int
) -> list[Shard]:
    """Return the shards of which the cache lacks some member's scores."""
    return [
        shard
        for shard in shards
        if not all(
            cache.has(member.digest, shard.digest, (shard.stop - shard.start, classes)) for member in members
        )
    ]


def _runs(shards: Sequence[Shard]) -> Iterator[list[Shard]]:
    """Give the shards in runs without a gap."""
    run: list[Shard] = []
    for shard in shards:
        if run and run[-1].stop != shard.start:
            yield run
            run = []
        run.append(shard)
    if run:
        yield run


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


def _checked(member: Member, scores: Scores, start: int, truth: Truth) -> Scores:
    """Refuse scores that no loss can be computed from."""
    broken = ~np.isfinite(scores).all(axis=1)
    if broken.any():
        raise MemberError(
            f"member {member.name!r} gives {int(broken.sum())} of {len(scores)} rows scores that are not"
            f" finite, the first is row {start + int(np.argmax(broken))}: look at that row, or publish the"
            " ensemble without the member"
        )
    if truth is Truth.VALUES:
        return scores
    sums = scores.sum(axis=1, dtype=np.float64)
    off = (scores.min(axis=1) < 0) | (
        (scores.max(axis=1) > 1) if truth is Truth.LABELS else (np.abs(sums - 1) > SUM_TOLERANCE)
    )
    if off.any():
        row = int(np.argmax(off))
        last = "a sigmoid" if truth is Truth.LABELS else "a softmax"
        raise MemberError(
            f"member {member.name!r} gives row {start + row} scores from {scores[row].min():.4g} to"
            f" {scores[row].max():.4g} that sum to {sums[row]:.4g}; log-loss needs probabilities:"
            f" publish the member with {last} as its last step"
        )
    return scores
