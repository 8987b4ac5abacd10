"""How a runtime is chosen by measuring."""

import json
from collections.abc import Callable

import pytest

from ensemble.errors import InvalidModelError
from ensemble.runtimes.choice import Candidate, Choice, Plan, compare, fastest
from ensemble.runtimes.source import OpenedMember
from ensemble.signature import Signature, TensorSpec

from .timed import FAST, SIGNATURE, SLOW, Timed

pytestmark = pytest.mark.usefixtures("turned_clock")

REFERENCE, OTHER = Plan("onnxruntime", 2), Plan("other", 2)


def refusing() -> OpenedMember:
    raise InvalidModelError("not this one")


def chosen(other: Callable[[], OpenedMember], reference: float = SLOW) -> Choice:
    choice, member = compare({REFERENCE: lambda: Timed(reference), OTHER: other})
    assert isinstance(member, Timed)
    return choice


def candidate(choice: Choice, plan: Plan = OTHER) -> Candidate:
    return next(tried for tried in choice.candidates if tried.plan == plan)


def test_a_runtime_that_is_clearly_faster_is_taken() -> None:
    choice = chosen(lambda: Timed(FAST, found={"way": 1}))

    assert choice.plan == OTHER
    assert choice.found == {"way": 1}
    assert candidate(choice).seconds == pytest.approx({1: FAST, 16: FAST})
    assert candidate(choice, REFERENCE).seconds == pytest.approx({1: SLOW, 16: SLOW})


def test_the_member_that_was_measured_is_the_one_that_is_given() -> None:
    fast, slow = Timed(FAST), Timed(SLOW)

    assert compare({REFERENCE: lambda: slow, OTHER: lambda: fast})[1] is fast
    assert compare({REFERENCE: lambda: fast, OTHER: lambda: slow})[1] is fast


def test_a_runtime_that_is_hardly_faster_is_not() -> None:
    assert chosen(lambda: Timed(SLOW * 0.95)).plan == REFERENCE


def test_a_fast_runtime_with_other_scores_is_refused_with_how_far_they_are() -> None:
    choice = chosen(lambda: Timed(FAST, (0.5, 0.25, 0.25002)))

    assert choice.plan == REFERENCE
    assert candidate(choice).max_error == pytest.approx(2e-5, rel=0.01)
    assert candidate(choice).refused == "scores are 2e-05 from onnxruntime's; 1e-05 may be"


def test_scores_that_differ_by_rounding_are_the_same() -> None:
    assert chosen(lambda: Timed(FAST, (0.5, 0.25, 0.250001))).plan == OTHER


def test_a_runtime_that_cannot_run_the_member_is_left_out_with_its_reason() -> None:
    choice = chosen(refusing)

    assert choice.plan == REFERENCE
    assert candidate(choice) == Candidate(OTHER, refused="not this one")


def test_what_the_reference_cannot_run_is_an_error() -> None:
    with pytest.raises(InvalidModelError, match="not this one"):
        compare({REFERENCE: refusing, OTHER: lambda: Timed(FAST)})


def test_without_rows_to_try_the_reference_is_taken() -> None:
    text = Signature((TensorSpec("x", "bytes", ()),), SIGNATURE.outputs)

    choice, _ = compare({REFERENCE: lambda: Timed(SLOW, signature=text), OTHER: refusing})

    assert choice.plan == REFERENCE
    assert candidate(choice, REFERENCE).refused.startswith("not measured: input 'x' takes text")


def test_with_one_plan_nothing_is_measured() -> None:
    choice, _ = compare({REFERENCE: lambda: Timed(SLOW, found={"way": 2})})

    assert choice == Choice(REFERENCE, {"way": 2})


def test_a_member_that_is_pinned_to_its_threads_is_not_tried_on_others() -> None:
    one = Plan("onnxruntime", 1)

    choice, _ = compare({REFERENCE: lambda: Timed(SLOW, found={"pinned": True}), one: refusing})

    assert [tried.plan for tried in choice.candidates] == [REFERENCE]


@pytest.mark.parametrize(("one", "two", "expected"), [(1.04, 1.0, 1), (1.1, 1.0, 2), (0.9, 1.0, 1)])
def test_of_alike_times_that_of_fewer_threads_is_taken(one: float, two: float, expected: int) -> None:
    seconds = {Plan("a", 2): {1: two, 16: two}, Plan("a", 1): {1: one, 16: one}}

    assert fastest(seconds) == Plan("a", expected)


def test_another_runtime_is_weighed_against_the_best_of_the_reference() -> None:
    seconds = {
        Plan("a", 2): {1: 1.0, 16: 1.0},
        Plan("a", 1): {1: 0.5, 16: 0.5},
        Plan("b", 2): {1: 0.45, 16: 0.45},
        Plan("c", 2): {1: 0.6, 16: 0.6},
    }

    assert fastest(seconds) == Plan("a", 1)
    assert fastest(seconds | {Plan("b", 2): {1: 0.1, 16: 1.5}}) == Plan("b", 2)  # 0.39 on average


def test_a_choice_comes_back_from_json_as_it_was() -> None:
    choice = Choice(
        OTHER,
        {"threads": 1, "most": None},
        (Candidate(REFERENCE, {1: 0.5, 16: 2.0}, 1e-7), Candidate(OTHER, refused="why")),
    )

    assert Choice.from_json(json.loads(json.dumps(choice.to_json()))) == choice


def test_a_plan_says_what_it_is() -> None:
    assert [str(Plan("a", 1)), str(Plan("a", 4))] == ["a on 1 thread", "a on 4 threads"]
