from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from ensemble.data.chunk import Chunk
from ensemble.errors import MemberError
from ensemble.member import Member, Rows, Scores, row_count
from ensemble.scoring.asking import Asker
from ensemble.scoring.columns import Asked
from ensemble.scoring.pace import Pace
from ensemble.servable import Servable
from ensemble.signature import Signature
from tests.support.members import Constant, servable, signature_of


@dataclass
class Picky:
    """Refuses batches with a negative `x`, or of more than `most` rows; or all, once broken."""

    most: int = 100
    broken: bool = False
    asked: list[int] = field(default_factory=list)
    name: str = "picky"
    digest: str = "0" * 64
    signature: Signature = field(default_factory=signature_of)
    runtime: str = "python"

    def predict(self, rows: Rows) -> Scores:
        self.asked.append(row_count(rows))
        if self.broken or row_count(rows) > self.most or (rows["x"] < 0).any():
            raise MemberError("member 'picky' failed")
        return Constant("inner").predict(rows)


def chunk(*values: float, start: int = 0) -> Chunk:
    x = np.array([[value, 0] for value in values], np.float32)
    return Chunk({"x": x}, None, start, Path("a.npz"), start)


def asker_of(ensemble: Servable, asked: Asked = "none") -> Asker:
    return Asker(ensemble, Pace(100, fixed=True), asked)


def rows(answers: object) -> list[int]:
    return [row for piece, _ in answers for row in piece.row_numbers.tolist()]  # type: ignore[attr-defined]


def test_a_row_that_a_member_refuses_fails_alone() -> None:
    answers, bad = asker_of(servable(Picky())).ask(chunk(1, 2, -3, 4, 5, -6, 7, start=10))
    assert rows(answers) == [10, 11, 13, 14, 16]
    assert [(row.row, row.code, row.message) for row in bad] == [
        (12, "member", "member 'picky' failed"),
        (15, "member", "member 'picky' failed"),
    ]


def test_a_member_that_takes_nothing_any_more_fails_the_job() -> None:
    member = Picky()
    asker = asker_of(servable(member))
    with pytest.raises(MemberError, match="picky"):
        asker.ask(chunk(-1, -2))
    asker.ask(chunk(1, 2))
    assert [row.row for row in asker.ask(chunk(-1, -2, start=2))[1]] == [2, 3]
    member.broken = True
    with pytest.raises(MemberError, match="picky"):
        asker.ask(chunk(1, 2, start=4))


def test_batches_that_only_pass_in_parts_stay_that_small() -> None:
    member = Picky(most=2)
    asker = asker_of(servable(member))
    assert rows(asker.ask(chunk(*range(8)))[0]) == list(range(8))
    assert asker.pace.size == 2
    member.asked.clear()
    assert rows(asker.ask(chunk(*range(5)))[0]) == list(range(5))
    assert member.asked == [2, 2, 1]


def test_members_that_weigh_nothing_are_asked_only_if_all_are_wanted() -> None:
    silent = Picky()
    ensemble = servable(Constant("voter"), silent, weights={"voter": 1.0, "picky": 0.0})
    asker_of(ensemble).ask(chunk(1))
    assert not silent.asked
    ((_, answer),), _ = asker_of(ensemble, "all").ask(chunk(1))
    assert sorted(answer.by_member) == ["picky", "voter"]
    assert answer.weights == {"voter": 1.0}


@dataclass
class AsOne:
    """Runs members as one, unless a row of the batch is below -5, or it has more than `most`."""

    members: tuple[Member, ...]
    most: int = 100
    asked: list[int] = field(default_factory=list)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(member.name for member in self.members)

    def predict(self, rows: Rows) -> dict[str, Scores]:
        self.asked.append(row_count(rows))
        if (rows["x"] < -5).any() or row_count(rows) > self.most:
            raise MemberError("merged members failed")
        return {member.name: member.predict(rows) for member in self.members}


def test_members_that_run_together_are_asked_together() -> None:
    members = (Constant("a"), Constant("b"))
    together, alone = AsOne(members), Picky()
    ensemble = servable(members[0], alone, members[1], weights={"a": 0.25, "picky": 0.25, "b": 0.5})
    asker = asker_of(replace(ensemble, together=together), "voters")
    ((_, answer),), bad = asker.ask(chunk(1, 2, 3))
    assert (together.asked, alone.asked, bad) == ([3], [3], [])
    assert list(answer.by_member) == ["a", "picky", "b"]
    assert answer.pooled.tobytes() == ensemble.score(chunk(1, 2, 3).rows).tobytes()


def test_where_they_fail_together_the_one_whose_fault_it_is_says_so() -> None:
    members = (Constant("a"), Picky(name="b"))
    ensemble = servable(*members, weights={"a": 0.5, "b": 0.5})
    asker = asker_of(replace(ensemble, together=AsOne(members)))
    answers, bad = asker.ask(chunk(1, -9, 3))
    assert rows(answers) == [0, 2]
    assert [(row.row, row.message) for row in bad] == [(1, "member 'picky' failed")]


def test_batches_that_are_too_large_for_members_together_are_asked_of_one_after_another_from_then_on() -> (
    None
):
    members = (Picky(name="a"), Picky(name="b"))
    together = AsOne(members, most=3)
    model = replace(servable(*members, weights={"a": 0.5, "b": 0.5}), together=together)
    asker = asker_of(model)
    for count in (8, 8, 5, 4, 4, 2, 8, 3):
        ((_, answer),), bad = asker.ask(chunk(*range(count)))
        assert answer.pooled.tobytes() == model.score(chunk(*range(count)).rows).tobytes()
        assert not bad
    # 8 failed, so 4 is the most; 4 failed, so 2 is. No size is tried that is known to be too large.
    assert together.asked == [8, 4, 2]


def test_a_bad_row_does_not_part_members_for_good() -> None:
    members = (Constant("a"), Picky(name="b"))
    together = AsOne(members)
    asker = asker_of(replace(servable(*members, weights={"a": 0.5, "b": 0.5}), together=together))
    asker.ask(chunk(1, -9, 3, 4))
    together.asked.clear()
    asker.ask(chunk(1, 2, 3, 4))
    assert together.asked == [4]


def test_a_chunk_is_asked_about_in_batches_as_the_pace_says_and_answered_as_one() -> None:
    member, pace = Picky(), Pace(4)
    asker = Asker(servable(member), pace)
    for _ in range(3):
        ((piece, answer),), _ = asker.ask(chunk(*range(7)))
        assert row_count(piece.rows) == len(answer.pooled) == 7
    assert member.asked == [1, 2, 4] * 3
    assert pace.size in {1, 2, 4}
