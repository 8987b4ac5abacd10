import math

import numpy as np
import pytest

from ensemble.refit.blend import Blend
from ensemble.refit.comparison import Contenders, Gain, best_single, calibration_error, compare, gain

from .data import predictions

TWO = predictions(
    [0, 1],
    sure=[[1.0, 0.0], [1.0, 0.0]],
    fair=[[0.75, 0.25], [0.5, 0.5]],
)


def test_each_member_and_each_weighting_is_judged() -> None:
    contenders = Contenders(Blend(np.array([0.5, 0.5])), Blend(np.array([0.0, 1.0])), "fair")
    compared = compare(TWO, contenders, "digest")
    assert compared.rows == 2
    assert compared.members["sure"].loss == math.inf
    assert compared.members["fair"].loss == pytest.approx(-(math.log(0.75) + math.log(0.5)) / 2)
    assert compared.uniform.loss == pytest.approx(-(math.log(0.875) + math.log(0.25)) / 2)
    assert compared.incumbent == compared.uniform
    assert compared.learned == compared.members["fair"]
    assert compared.members["sure"].accuracy == 0.5


def test_gains_are_paired_by_row() -> None:
    contenders = Contenders(Blend(np.array([0.5, 0.5])), Blend(np.array([0.0, 1.0])), "fair")
    gains = compare(TWO, contenders, "digest").gains
    rows = [-math.log(0.875) + math.log(0.75), -math.log(0.25) + math.log(0.5)]
    assert gains["incumbent"].mean == pytest.approx(sum(rows) / 2)
    # The standard error of two numbers is half their distance.
    assert gains["incumbent"].standard_error == pytest.approx((rows[1] - rows[0]) / 2)
    assert gains["best_single"] == Gain(0.0, 0.0)


def test_the_evidence_has_the_documented_shape_and_infinite_is_null() -> None:
    contenders = Contenders(Blend(np.array([1.0, 0.0])), Blend(np.array([0.0, 1.0])), "fair")
    evidence = compare(TWO, contenders, "d1").to_json()
    fair = pytest.approx(-(math.log(0.75) + math.log(0.5)) / 2)
    assert evidence["data"] == {"digest": "d1", "rows": 2}
    assert evidence["losses"] == {
        "members": {"sure": None, "fair": fair},
        "uniform": pytest.approx(-(math.log(0.875) + math.log(0.25)) / 2),
        "best_single": {"member": "fair", "loss": fair},
        "incumbent": None,
        "learned": fair,
    }
    assert evidence["accuracy"]["members"] == {"sure": 0.5, "fair": 0.5}
    assert evidence["gains"]["incumbent"] == {"mean": None, "standard_error": None}


def test_the_best_single_member_has_the_least_loss() -> None:
    assert best_single(TWO) == "fair"


def test_among_members_of_infinite_loss_the_one_with_fewer_impossible_rows_is_best() -> None:
    never = [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]
    once = [[0.5, 0.5], [0.0, 1.0], [0.5, 0.5]]
    assert best_single(predictions([0, 0, 0], never=never, once=once)) == "once"


def test_calibration_error_is_the_distance_of_confidence_from_accuracy() -> None:
    # Two rows at confidence 0.9, one right: off by 0.4. Two at 0.5, one right: spot on.
    confidence, right = np.array([0.9, 0.9, 0.5, 0.5]), np.array([True, False, True, False])
    assert calibration_error(confidence, right) == pytest.approx(0.2)


def test_full_confidence_falls_in_the_last_bin() -> None:
    assert calibration_error(np.array([1.0, 1.0]), np.array([True, True])) == 0


def test_one_row_has_a_gain_but_no_standard_error() -> None:
    found = gain(np.array([2.0]), np.array([1.0]))
    assert found.mean == 1
    assert math.isnan(found.standard_error)
