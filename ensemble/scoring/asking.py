"""Asking the members, such that a row they can't take fails alone, and a broken member fails the job.

Rule 1: a batch that fails is halved until the rows that fail stand alone.
Rule 2: a row is to blame only if the member still takes another row, which it took before.
Rule 3: if all parts of a batch pass that failed as a whole, memory was short: batches stay that small.
Rule 4: if members that run together fail on rows that each of them takes, memory was short for them together:
larger batches than half of that are asked of one after another from then on.
Rule 5: a row whose scores are no numbers, as of an infinite input, has no scores.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ..data.chunk import Chunk
from ..data.sifting import BadRow, bad_row
from ..data.tensors import Place
from ..errors import MemberError
from ..member import Room, Rows, Scores, row_count
from ..servable import Servable
from .columns import Answer, Asked
from .pace import Pace

CODE, NOT_FINITE = "member", "scores"
Failure = tuple[Chunk, MemberError]


@dataclass(slots=True)
class Asker:
    """Asks a servable, in batches as `pace` says; `asked` says which members' own scores are wanted too."""

    servable: Servable
    pace: Pace
    asked: Asked = "none"
    _taken: Chunk | None = field(default=None, init=False)  # a row that was scored
    _room: Room = field(default_factory=Room, init=False)  # for members together

    def ask(self, chunk: Chunk) -> tuple[list[tuple[Chunk, Answer]], list[BadRow]]:
        """Return the rows that could be scored with their answers, in order, and those that couldn't.

        MemberError if a member can score nothing any more.
        """
        answers: list[tuple[Chunk, Answer]] = []
        failures: list[Failure] = []
        start, count = 0, row_count(chunk.rows)
        while start < count:
            size = min(self.pace.size, count - start)
            self._batch(chunk if size == count else chunk.slice(start, size), answers, failures)
            start += size
        if answers:
            self._taken = answers[0][0].slice(0, 1)
        if failures:
            self._blame(failures[0][1])
        elif len(answers) > 1:
            answers = [(chunk, Answer.joined([answer for _, answer in answers]))]
        bad = [bad_row(Place(row.source, row.row), error, CODE, row.identity) for row, error in failures]
        finite = [part for answer in answers for part in _finite(*answer, bad)]
        return finite, bad

    def _batch(self, batch: Chunk, answers: list[tuple[Chunk, Answer]], failures: list[Failure]) -> None:
        """Ask for one batch; put what came of it where it belongs."""
        began, count, failed = perf_counter(), len(answers), len(failures)
        for piece, found in self._pieces(batch):
            if isinstance(found, Answer):
                answers.append((piece, found))
            else:
                failures.append((piece, found))
        if len(failures) > failed:
            return
        if len(answers) == count + 1:
            self.pace.took(row_count(batch.rows), perf_counter() - began)
        else:
            self.pace.limit(max(row_count(piece.rows) for piece, _ in answers[count:]))

    def _pieces(self, chunk: Chunk) -> Iterator[tuple[Chunk, Answer | MemberError]]:
        """Give what `chunk` falls into."""
        try:
            answer = self._answer(chunk.rows)
        except MemberError as error:
            count = row_count(chunk.rows)
            if count == 1:
                yield chunk, error
                return
            half = count // 2
            yield from self._pieces(chunk.slice(0, half))
            yield from self._pieces(chunk.slice(half, count - half))
        else:
            yield chunk, answer

    def _answer(self, rows: Rows) -> Answer:
        """Score `rows` in the quickest way; where that fails, the member whose fault it is says so."""
        servable = self.servable
        members = servable.members if self.asked == "all" else servable.voters
        by_member, failed = self._together(rows)
        for member in members:
            if member.name not in by_member:
                by_member[member.name] = member.predict(rows)
        if failed:
            self._room.was_short(row_count(rows))
        pooled = servable.pool(by_member)
        if self.asked == "none":
            return Answer(pooled, {}, {})
        weights = {member.name: servable.weights.by_member[member.name] for member in servable.voters}
        # In the members' own order, however they ran.
        return Answer(pooled, {member.name: by_member[member.name] for member in members}, weights)

    def _together(self, rows: Rows) -> tuple[dict[str, Scores], bool]:
        """Return the scores of the members that run together, if any; and whether they failed at it."""
        together = self.servable.together
        if together is None or not self._room.has(row_count(rows)):
            return {}, False
        try:
            return dict(together.predict(rows)), False
        except MemberError:
            # Asked one after another, each answers for itself.
            return {}, True

    def _blame(self, error: MemberError) -> None:
        """Raise `error` if it isn't the row's fault."""
        if self._taken is None:
            raise error
        self._answer(self._taken.rows)


def _finite(chunk: Chunk, answer: Answer, bad: list[BadRow]) -> Iterator[tuple[Chunk, Answer]]:
    """Give the rows whose scores are all finite, in runs; put the others into `bad`."""
    fine: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(answer.pooled), axis=1)
    if fine.all():
        yield chunk, answer
        return
    edges = np.flatnonzero(np.diff(fine)) + 1
    for start, stop in pairwise([0, *edges.tolist(), len(fine)]):
        if fine[start]:
            yield chunk.slice(start, stop - start), answer.slice(start, stop)
            continue
        for index in range(start, stop):
            row = chunk.slice(index, 1)
            error = MemberError(f"the ensemble's scores of it aren't finite: {answer.pooled[index].tolist()}")
            bad.append(bad_row(Place(row.source, row.row), error, NOT_FINITE, row.identity))
