"""Asking the members, such that a row they can't take fails alone, and a broken member fails the job.

Rule 1: a batch that fails is halved until the rows that fail stand alone.
Rule 2: a row is to blame only if the member still takes another row, which it took before.
Rule 3: if all parts of a batch pass that failed as a whole, memory was short: batches stay that small.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..data.chunk import Chunk
from ..data.sifting import BadRow, bad_row
from ..data.tensors import Place
from ..errors import MemberError
from ..member import Rows, row_count
from ..servable import Servable
from .columns import Answer, Asked

CODE = "member"
Failure = tuple[Chunk, MemberError]


@dataclass(slots=True)
class Asker:
    """Asks a servable; `asked` says which members' own scores are wanted too."""

    servable: Servable
    asked: Asked = "none"
    most: int | None = None  # rows that are known to fit into memory together
    _taken: Chunk | None = field(default=None, init=False)  # a row that was scored

    def ask(self, chunk: Chunk) -> tuple[list[tuple[Chunk, Answer]], list[BadRow]]:
        """Return the rows that could be scored with their answers, in order, and those that couldn't.

        MemberError if a member can score nothing any more.
        """
        answers: list[tuple[Chunk, Answer]] = []
        failures: list[Failure] = []
        count = row_count(chunk.rows)
        most = self.most or count
        for start in range(0, count, most):
            part = chunk if most >= count else chunk.slice(start, min(most, count - start))
            for found in self._pieces(part):
                if isinstance(found[1], Answer):
                    answers.append((found[0], found[1]))
                else:
                    failures.append((found[0], found[1]))
        if answers:
            self._taken = answers[0][0].slice(0, 1)
        if failures:
            self._blame(failures[0][1])
        elif len(answers) > 1:
            self.most = max(row_count(piece.rows) for piece, _ in answers)
        return answers, [
            bad_row(Place(row.source, row.row), error, CODE, row.identity) for row, error in failures
        ]

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
        """Score `rows`; where members' own scores are wanted, ask them one after another."""
        servable = self.servable
        if self.asked == "none":
            return Answer(servable.score(rows), {}, {})
        members = servable.members if self.asked == "all" else servable.voters
        by_member = {member.name: member.predict(rows) for member in members}
        weights = {member.name: servable.weights.by_member[member.name] for member in servable.voters}
        return Answer(servable.pool(by_member), by_member, weights)

    def _blame(self, error: MemberError) -> None:
        """Raise `error` if it isn't the row's fault."""
        if self._taken is None:
            raise error
        self._answer(self._taken.rows)
