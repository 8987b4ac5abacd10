import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from threading import get_ident

import numpy as np
import pytest

from ensemble.errors import MemberError
from ensemble.member import Member, Rows, Scores, row_count
from ensemble.pooling.linear import LinearPool
from ensemble.weights import Weights
from server.engine.engine import Engine, check_scores
from tests.support.members import Constant, Failing, SoftmaxLinear, servable
from tests.support.observers import Recorder

ROWS: Rows = {"x": np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32)}


@dataclass
class AtOnce:
    """Asks `members` together, at most about so many rows, and counts how often."""

    members: tuple[Member, ...]
    most: int = 100
    asked: list[Rows] = field(default_factory=list)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(member.name for member in self.members)

    def predict(self, rows: Rows) -> Mapping[str, Scores]:
        self.asked.append(rows)
        if row_count(rows) > self.most:
            raise MemberError("no memory")
        return {member.name: member.predict(rows) for member in self.members}


@asynccontextmanager
async def running(observer: Recorder, *, quorum: int = 0) -> AsyncIterator[Engine]:
    engine = Engine(observer, quorum=quorum, compare_every_secs=0.0)
    try:
        yield engine
    finally:
        engine.close()


async def test_the_answer_is_the_weighted_average_of_the_members() -> None:
    sharp, flat = SoftmaxLinear("sharp"), Constant("flat")
    model = servable(sharp, flat, weights={"sharp": 0.75, "flat": 0.25})
    async with running(Recorder()) as engine:
        scores = (await engine.run(model, ROWS, row_count(ROWS))).scores
    expected = 0.75 * sharp.predict(ROWS).astype(np.float64) + 0.25 * flat.predict(ROWS).astype(np.float64)
    np.testing.assert_array_equal(scores, expected.astype(np.float32))


async def test_a_batch_that_is_run_here_never_leaves_the_loops_thread() -> None:
    threads: list[int] = []

    class Watched(SoftmaxLinear):
        def predict(self, rows: Rows) -> Scores:
            threads.append(get_ident())
            return super().predict(rows)

    model = servable(Watched("a"))
    async with running(Recorder()) as engine:
        there = await engine.run(model, ROWS, 2)
        assert not engine.brief(model, 99, alone=True)
        here = await engine.run_here(model, ROWS, 2)
    assert [thread == get_ident() for thread in threads] == [False, True]
    np.testing.assert_array_equal(here.scores, there.scores)
    assert len(here.scores) == 2


async def test_a_batch_tells_how_long_each_voter_took_and_how_it_agreed() -> None:
    told = Recorder()
    model = servable(SoftmaxLinear("sharp"), Constant("flat"))
    async with running(told) as engine:
        await engine.run(model, ROWS, row_count(ROWS))
    [(name, seconds, by_member)] = told.of("computed")
    assert (name, set(by_member)) == ("digits", {"sharp", "flat"})
    assert seconds >= sum(by_member.values()) > 0
    [(name, agreements)] = told.of("agreed")
    assert {member: agreement.rows for member, agreement in agreements.items()} == {"sharp": 3, "flat": 3}


async def test_a_member_that_weighs_nothing_is_asked_for_one_batch_in_sixteen_only() -> None:
    told = Recorder()
    model = servable(Constant("a"), Constant("silent"), weights={"a": 1.0, "silent": 0.0})
    async with running(told) as engine:
        for _ in range(17):
            await engine.run(model, ROWS, row_count(ROWS))
    asked = [index for index, (_, agreements) in enumerate(told.of("agreed")) if "silent" in agreements]
    assert asked == [0, 16]
    assert all(set(by_member) == {"a"} for _, _, by_member in told.of("computed"))


async def test_a_lone_member_is_not_compared_with_itself() -> None:
    told = Recorder()
    async with running(told) as engine:
        await engine.run(servable(Constant("a")), ROWS, row_count(ROWS))
    assert told.of("agreed") == []


async def test_a_failing_member_is_named_counted_once_and_its_reason_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Recorder()
    model = servable(Constant("a"), Failing("b", RuntimeError("secret path /etc")))
    async with running(told) as engine:
        with caplog.at_level(logging.ERROR, "unisono"), pytest.raises(MemberError) as caught:
            await engine.run(model, ROWS, row_count(ROWS))
    assert str(caught.value) == "in ensemble 'digits', member 'b' failed"
    assert told.of("member_failed") == [("digits", "b")]
    assert "secret path /etc" in caplog.text


async def test_scores_that_are_not_finite_fail_the_batch_and_name_the_member() -> None:
    told = Recorder()
    model = servable(Constant("a"), Constant("b", scores=(float("nan"), 0.5, 0.5)))
    async with running(told) as engine:
        with pytest.raises(MemberError, match="member 'b' failed"):
            await engine.run(model, ROWS, row_count(ROWS))
    assert told.of("member_failed") == [("digits", "b")]


async def test_a_failing_silent_member_harms_no_caller() -> None:
    told = Recorder()
    model = servable(Constant("a"), Failing("silent"), weights={"a": 1.0, "silent": 0.0})
    async with running(told) as engine:
        scores = (await engine.run(model, ROWS, row_count(ROWS))).scores
    assert scores[0].tolist() == [0.5, 0.25, 0.25]
    assert told.of("member_failed") == [("digits", "silent")]


def test_scores_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(MemberError, match=r"scores have shape \(2, 3\); expected \(2, 4\)"):
        check_scores(np.zeros((2, 3), np.float32), (2, 4))


async def test_batches_that_follow_each_other_fast_are_not_all_compared() -> None:
    told = Recorder()
    engine = Engine(told, compare_every_secs=3600.0)
    for _ in range(3):
        await engine.run(servable(SoftmaxLinear("a"), Constant("b")), ROWS, row_count(ROWS))
    engine.close()
    assert len(told.of("agreed")) == 1
    assert len(told.of("computed")) == 3


async def test_members_run_together_but_for_one_batch_in_64_which_times_each() -> None:
    told, members = Recorder(), (SoftmaxLinear("a"), Constant("b"))
    together = AtOnce(members)
    model = replace(servable(*members), together=together)
    async with running(told) as engine:
        answers = [await engine.run(model, ROWS, row_count(ROWS)) for _ in range(65)]
    timed = [index for index, (_, _, by_member) in enumerate(told.of("computed")) if by_member]
    assert timed == [0, 63]  # the first, since nothing is known of their shares, and the 64th
    assert len(together.asked) == 63
    assert all(answer.seconds.keys() == {"a", "b"} for answer in answers)
    assert {answer.scores.tobytes() for answer in answers} == {servable(*members).score(ROWS).tobytes()}


async def test_a_member_that_stays_by_itself_is_timed_in_every_batch() -> None:
    told, together = Recorder(), AtOnce((Constant("a"), Constant("b")))
    first, second = together.members
    model = replace(servable(first, SoftmaxLinear("apart"), second), together=together)
    async with running(told) as engine:
        await engine.run(model, ROWS, row_count(ROWS))
        scored = await engine.run(model, ROWS, row_count(ROWS))
    assert [set(by_member) for _, _, by_member in told.of("computed")] == [{"a", "b", "apart"}, {"apart"}]
    # In the order of the members, whoever ran first.
    assert list(scored.by_member) == list(scored.seconds) == ["a", "apart", "b"]


@pytest.mark.parametrize("bad", [Failing("b"), Constant("b", scores=(float("nan"), 0.5, 0.5))])
async def test_a_member_that_fails_among_others_is_named(bad: Member) -> None:
    told, good = Recorder(), (Constant("a"), Constant("b"))
    model = replace(servable(*good), together=AtOnce(good))
    async with running(told) as engine:
        await engine.run(model, ROWS, row_count(ROWS))
        broken = (Constant("a"), bad)
        with pytest.raises(MemberError, match="member 'b' failed"):
            await engine.run(replace(servable(*broken), together=AtOnce(broken)), ROWS, row_count(ROWS))
    assert told.of("member_failed") == [("digits", "b")]


async def test_batches_that_are_too_large_for_members_together_go_to_one_after_another_from_then_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    members = (SoftmaxLinear("a"), Constant("b"))
    together = AtOnce(members, most=2)
    model = replace(servable(*members), together=together)
    one = {"x": ROWS["x"][:1]}
    async with running(Recorder()) as engine:
        answers = [await engine.run(model, ROWS, 3) for _ in range(4)]
        await engine.run(model, one, 1)
        # Another version has room until it is known to have none.
        again = replace(model, version=2)
        answers += [await engine.run(again, ROWS, 3) for _ in range(2)]
    assert [row_count(rows) for rows in together.asked] == [3, 1, 3]
    assert {answer.scores.tobytes() for answer in answers} == {model.score(ROWS).tobytes()}
    assert caplog.messages == [
        f"members of digits version {version} failed together on 3 rows, and not one after another:"
        " larger batches than 1 are no longer asked of them together"
        for version in (1, 2)
    ]


async def test_what_fills_a_batch_up_is_neither_answered_nor_compared() -> None:
    told = Recorder()
    model = servable(SoftmaxLinear("a"), Constant("b"))
    filled = {"x": np.concatenate([ROWS["x"], ROWS["x"][-1:], ROWS["x"][-1:]])}
    async with running(told) as engine:
        alone = await engine.run(model, ROWS, row_count(ROWS))
        scored = await engine.run(model, filled, row_count(ROWS))

    assert scored.scores.tobytes() == alone.scores.tobytes()
    assert {name: len(scores) for name, scores in scored.by_member.items()} == {
        "a": row_count(ROWS),
        "b": row_count(ROWS),
    }
    first, second = (agreements for _, agreements in told.of("agreed"))
    assert first == second


SURE, FAIR = Constant("sure", (1.0, 0.0, 0.0)), Constant("fair", (0.0, 1.0, 0.0))


async def test_a_member_that_fails_is_made_up_for_by_what_was_learned_for_that() -> None:
    told = Recorder()
    model = servable(SURE, FAIR, Failing("b"), weights={"sure": 0.5, "fair": 0.0, "b": 0.5})
    learned = LinearPool(Weights({"sure": 0.25, "fair": 0.75, "b": 0.0}))
    async with running(told, quorum=1) as engine:
        scored = await engine.run(replace(model, without={"b": learned}), ROWS, row_count(ROWS))
    # A member that weighed nothing is asked now, since it weighs something.
    assert scored.scores.tolist() == [[0.25, 0.75, 0.0]] * 3
    assert scored.missing == {"b"}
    assert list(scored.by_member) == ["sure", "fair"]
    assert told.of("degraded") == [("digits", {"b"})]
    assert told.of("member_failed") == [("digits", "b")]


async def test_where_nothing_was_learned_for_it_the_others_weights_grow() -> None:
    model = servable(SURE, FAIR, Failing("b"), weights={"sure": 0.1, "fair": 0.3, "b": 0.6})
    async with running(Recorder(), quorum=2) as engine:
        scored = await engine.run(model, ROWS, row_count(ROWS))
    np.testing.assert_allclose(scored.scores[0], [0.25, 0.75, 0.0], atol=1e-7)


@pytest.mark.parametrize("quorum", [0, 2, 9])
async def test_below_the_quorum_the_member_that_failed_is_named(quorum: int) -> None:
    model = servable(SURE, Failing("b"))
    async with running(Recorder(), quorum=quorum) as engine:
        with pytest.raises(MemberError, match="member 'b' failed"):
            await engine.run(model, ROWS, row_count(ROWS))


async def test_one_voter_at_least_has_to_answer() -> None:
    async with running(Recorder(), quorum=1) as engine:
        with pytest.raises(MemberError, match="member 'b' failed"):
            await engine.run(servable(Failing("a"), Failing("b")), ROWS, row_count(ROWS))


async def test_a_member_that_is_absent_is_never_asked() -> None:
    told = Recorder()
    model = replace(servable(SURE, Failing("b")), absent=frozenset({"b"}))
    async with running(told, quorum=1) as engine:
        scored = await engine.run(model, ROWS, row_count(ROWS))
    assert scored.missing == {"b"}
    assert told.of("member_failed") == []


async def test_what_was_learned_for_it_is_not_used_where_it_calls_on_another_absent_member() -> None:
    model = servable(
        SURE, FAIR, Failing("b"), Failing("c"), weights={"sure": 0.1, "fair": 0.3, "b": 0.6, "c": 0}
    )
    learned = LinearPool(Weights({"sure": 0.25, "fair": 0.25, "b": 0.0, "c": 0.5}))
    model = replace(model, without={"b": learned}, absent=frozenset({"b", "c"}))
    async with running(Recorder(), quorum=2) as engine:
        scored = await engine.run(model, ROWS, row_count(ROWS))
    np.testing.assert_allclose(scored.scores[0], [0.25, 0.75, 0.0], atol=1e-7)


async def test_an_absent_member_that_is_asked_by_itself_is_named() -> None:
    model = replace(servable(Failing("b")), absent=frozenset({"b"}))
    async with running(Recorder(), quorum=1) as engine:
        with pytest.raises(MemberError, match=r"no member is there to answer: \['b'\]"):
            await engine.run(model, ROWS, row_count(ROWS))
