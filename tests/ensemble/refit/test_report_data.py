import json
import math

import numpy as np
import pytest

from ensemble.refit.blend import Blend
from ensemble.refit.comparison import Contenders, best_single, compare
from ensemble.refit.learn import learn
from ensemble.refit.predictions import predict_all
from ensemble.refit.report_data import error_correlation, figures

from .data import World, predictions

THREE = predictions(
    [0, 1, 1],
    sure=[[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]],
    twin=[[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]],
    odd=[[0.5, 0.5], [0.25, 0.75], [0.0, 1.0]],
)


def test_members_that_err_alike_correlate_and_those_that_err_elsewhere_do_not() -> None:
    np.testing.assert_allclose(error_correlation(THREE), [[1, 1, 0], [1, 1, 0], [0, 0, 1]], atol=1e-12)


def test_a_member_that_never_errs_is_like_itself_only() -> None:
    perfect = predictions([0, 1], right=[[1.0, 0.0], [0.0, 1.0]], fair=[[0.75, 0.25], [0.5, 0.5]])
    np.testing.assert_array_equal(error_correlation(perfect), np.eye(2))


def test_rows_are_sorted_into_bins_of_their_top_score_and_by_class() -> None:
    found = figures(THREE, Blend(np.array([0.0, 0.0, 1.0])), Blend(np.array([1.0, 0.0, 0.0])))
    assert found["reliability"] == {
        "incumbent": [
            {"rows": 1, "confidence": 0.5, "accuracy": 1.0},
            {"rows": 1, "confidence": 0.75, "accuracy": 1.0},
            {"rows": 1, "confidence": 1.0, "accuracy": 1.0},
        ],
        "learned": [
            # Of two alike the first class is taken.
            {"rows": 1, "confidence": 0.5, "accuracy": 0.0},
            {"rows": 2, "confidence": 1.0, "accuracy": 1.0},
        ],
    }
    assert found["classes"] == [
        {
            "name": "class0",
            "rows": 1,
            "incumbent": {"log_loss": pytest.approx(math.log(2)), "accuracy": 1.0},
            "learned": {"log_loss": 0.0, "accuracy": 1.0},
        },
        {
            "name": "class1",
            "rows": 2,
            "incumbent": {"log_loss": pytest.approx(-math.log(0.75) / 2), "accuracy": 1.0},
            "learned": {"log_loss": pytest.approx(math.log(2) / 2), "accuracy": 0.5},
        },
    ]


def test_a_class_without_rows_and_an_infinite_loss_are_null() -> None:
    one = predictions([0], blind=[[0.0, 1.0]], fair=[[0.5, 0.5]])
    found = figures(one, Blend(np.array([1.0, 0.0])), Blend(np.array([0.0, 1.0])))["classes"]
    assert found[0]["incumbent"] == {"log_loss": None, "accuracy": 0.0}
    assert found[1]["learned"] == {"log_loss": None, "accuracy": None}


def test_the_bins_add_up_to_the_calibration_error_and_the_classes_to_the_loss() -> None:
    world = World(rows=5000)
    predicted = predict_all(world.servable(), world.data())
    weights = Blend(np.array([0.2, 0.3, 0.5])), Blend(np.array([0.0, 0.25, 0.75]))
    found = figures(predicted, *weights)
    judged = compare(predicted, Contenders(*weights, best_single(predicted)), "digest")
    for which, losses in (("incumbent", judged.incumbent), ("learned", judged.learned)):
        error = sum(
            bin_["rows"] * abs(bin_["accuracy"] - bin_["confidence"]) for bin_ in found["reliability"][which]
        )
        assert error / 5000 == pytest.approx(losses.calibration_error, abs=1e-12)
        loss = sum(each["rows"] * each[which]["log_loss"] for each in found["classes"])
        assert loss / 5000 == pytest.approx(losses.loss, abs=1e-12)


def test_evidence_holds_the_figures_of_validation_and_test_rows_as_json() -> None:
    world = World(rows=600)
    alone = learn(world.servable(), world.data()).to_json()["figures"]
    assert set(alone) == {"validation"}
    assert json.loads(json.dumps(alone, allow_nan=False)) == alone
    assert set(alone["validation"]) == {"error_correlation", "reliability", "classes"}
