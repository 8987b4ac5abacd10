from dataclasses import replace

import numpy as np
import pytest

from ensemble.refit.checks import Findings
from ensemble.refit.comparison import Gain
from ensemble.refit.gate import GateOptions, Trial, judge
from ensemble.refit.solver import Solution

SOLVED = Solution(np.array([1.0]), 0.5, 0.0, 3, converged=True, how="3 newton", message="")
CLEAR = Trial(SOLVED, Gain(0.02, 0.01), jump=0.1)
JUMP = "the weights would move by 0.60 in all, more than 0.5, and no member is known to have broken"


def test_a_sure_gain_is_published() -> None:
    verdict = judge(CLEAR)
    assert verdict.publish
    # 0.02 - 1.645 * 0.01
    assert verdict.reasons == (
        "held-out log-loss falls by 0.02000 ± 0.01000 nats a row, 95% sure is 0.00355",
    )


@pytest.mark.parametrize(
    "gain", [Gain(0.016, 0.01), Gain(0.0, 0.0), Gain(-0.02, 0.01), Gain(0.02, float("nan"))]
)
def test_a_gain_that_is_not_sure_is_held(gain: Gain) -> None:
    verdict = judge(replace(CLEAR, gain=gain))
    assert not verdict.publish
    assert verdict.reasons[0].startswith("the gain is not sure")


def test_a_gain_that_is_not_worth_it_is_held() -> None:
    assert judge(CLEAR, GateOptions(min_gain=0.003)).publish
    assert not judge(CLEAR, GateOptions(min_gain=0.004)).publish


def test_weights_that_did_not_change_are_held_in_other_words() -> None:
    verdict = judge(replace(CLEAR, gain=Gain(0.0, 0.0), jump=0.0))
    assert not verdict.publish
    assert verdict.reasons == ("no other weights are clearly better than the ones being served",)


def test_a_solution_that_did_not_converge_is_held_however_large_the_gain() -> None:
    short = replace(SOLVED, converged=False, message="the gap is wide")
    verdict = judge(replace(CLEAR, solution=short))
    assert not verdict.publish
    assert verdict.reasons == ("the solver did not converge: the gap is wide",)


def test_an_alarm_about_the_data_holds() -> None:
    verdict = judge(replace(CLEAR, findings=Findings(alarms=("no row is of class 'b'",))))
    assert not verdict.publish
    assert verdict.reasons == ("no row is of class 'b'",)


def test_a_large_jump_holds() -> None:
    verdict = judge(replace(CLEAR, jump=0.6))
    assert not verdict.publish
    assert verdict.reasons == (JUMP,)


def test_a_large_jump_away_from_a_broken_member_is_published() -> None:
    assert judge(replace(CLEAR, jump=0.6, findings=Findings(broken=("a",)))).publish


def test_a_large_jump_away_from_weights_nobody_learned_is_published() -> None:
    assert judge(replace(CLEAR, jump=0.6, learned_before=False)).publish


def test_a_class_that_surely_loses_holds() -> None:
    verdict = judge(replace(CLEAR, class_gains={"a": Gain(0.1, 0.01), "b": Gain(-0.06, 0.02)}))
    assert not verdict.publish
    assert verdict.reasons == (
        "class 'b' loses: its held-out log-loss rises by 0.06000 ± 0.02000, more than 0.01",
    )


def test_a_class_that_may_lose_or_loses_little_does_not_hold() -> None:
    assert judge(replace(CLEAR, class_gains={"a": Gain(-0.03, 0.02), "b": Gain(-0.009, 0.0001)})).publish


def test_with_many_classes_it_takes_more_to_be_sure_that_one_loses() -> None:
    # 2 standard errors beyond the margin: sure enough for one class, not for one of ten.
    loses = {"loses": Gain(-0.05, 0.02)}
    others = {f"class{index}": Gain(0.1, 0.02) for index in range(9)}
    assert not judge(replace(CLEAR, class_gains=loses)).publish
    assert judge(replace(CLEAR, class_gains=loses | others)).publish


def test_every_reason_against_is_given() -> None:
    trial = Trial(
        replace(SOLVED, converged=False, message="the gap is wide"),
        Gain(-0.1, 0.01),
        class_gains={"a": Gain(-0.1, 0.01)},
        jump=0.6,
        findings=Findings(alarms=("odd data",)),
    )
    assert len(judge(trial).reasons) == 5
