import numpy as np
import pytest

from ensemble.refit.comparison import Comparison, Gain, Losses
from ensemble.refit.gate import judge
from ensemble.refit.solver import Solution


def solution(*, converged: bool = True, gap: float = 0.0) -> Solution:
    return Solution(
        np.array([1.0]), 0.5, gap, 3, converged, "3 newton", "" if converged else "the gap is wide"
    )


def comparison(incumbent: float, learned: float) -> Comparison:
    flat = Losses(0.7, 0.5, 0.1)
    return Comparison(
        digest="d",
        rows=10,
        members={"a": flat},
        best_single="a",
        uniform=flat,
        incumbent=Losses(incumbent, 0.5, 0.1),
        learned=Losses(learned, 0.5, 0.1),
        gains={"incumbent": Gain(incumbent - learned, 0.01)},
    )


def test_a_lower_validation_loss_is_published() -> None:
    verdict = judge(solution(), comparison(0.6, 0.5))
    assert verdict.publish
    assert verdict.reasons == ("validation log-loss falls from 0.600000 to 0.500000 nats a row",)


@pytest.mark.parametrize(
    ("incumbent", "learned"),
    [(0.5, 0.5), (0.5, 0.6), (0.5 + 1e-10, 0.5), (float("inf"), float("inf")), (0.5, float("nan"))],
)
def test_a_validation_loss_that_is_not_lower_is_held(incumbent: float, learned: float) -> None:
    verdict = judge(solution(), comparison(incumbent, learned))
    assert not verdict.publish
    assert verdict.reasons[0].startswith("validation log-loss is not lower")


def test_an_incumbent_of_infinite_loss_is_replaced() -> None:
    assert judge(solution(), comparison(float("inf"), 0.5)).publish


def test_a_solution_that_did_not_converge_is_held_however_low_its_loss() -> None:
    verdict = judge(solution(converged=False, gap=0.2), comparison(0.9, 0.5))
    assert not verdict.publish
    assert verdict.reasons == ("the solver did not converge: the gap is wide",)


def test_an_alarm_about_the_data_holds() -> None:
    verdict = judge(solution(), comparison(0.6, 0.5), ("no row is of class 'b'",))
    assert not verdict.publish
    assert verdict.reasons == ("no row is of class 'b'",)


def test_every_reason_against_is_given() -> None:
    verdict = judge(solution(converged=False, gap=0.2), comparison(0.5, 0.5), ("odd data",))
    assert len(verdict.reasons) == 3
