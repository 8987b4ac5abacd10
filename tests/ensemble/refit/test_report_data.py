import json
import math
from dataclasses import replace

import numpy as np
import pytest

from ensemble.refit.aims import AIMS
from ensemble.refit.blend import Blend
from ensemble.refit.comparison import Contenders, best_single, compare
from ensemble.refit.learn import learn
from ensemble.refit.predictions import predict_all
from ensemble.refit.report_data import error_correlation, figures
from ensemble.refit.row_columns import RowColumns
from ensemble.refit.sample import Sample
from ensemble.truth import Truth

from .data import World, asked, predictions

THREE = predictions(
    [0, 1, 1],
    sure=[[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]],
    twin=[[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]],
    odd=[[0.5, 0.5], [0.25, 0.75], [0.0, 1.0]],
)


def test_members_that_err_alike_correlate_and_those_that_err_elsewhere_do_not() -> None:
    np.testing.assert_allclose(
        error_correlation(Sample.of(THREE)), [[1, 1, 0], [1, 1, 0], [0, 0, 1]], atol=1e-12
    )


def test_a_member_that_never_errs_is_like_itself_only() -> None:
    perfect = predictions([0, 1], right=[[1.0, 0.0], [0.0, 1.0]], fair=[[0.75, 0.25], [0.5, 0.5]])
    np.testing.assert_array_equal(error_correlation(Sample.of(perfect)), np.eye(2))


def test_rows_are_sorted_into_bins_of_their_top_score_and_by_class() -> None:
    found = figures(Sample.of(THREE), Blend(np.array([0.0, 0.0, 1.0])), Blend(np.array([1.0, 0.0, 0.0])))
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
    found = figures(Sample.of(one), Blend(np.array([1.0, 0.0])), Blend(np.array([0.0, 1.0])))["classes"]
    assert found[0]["incumbent"] == {"log_loss": None, "accuracy": 0.0}
    assert found[1]["learned"] == {"log_loss": None, "accuracy": None}


def test_the_bins_add_up_to_the_calibration_error_and_the_classes_to_the_loss() -> None:
    world = World(rows=5000)
    predicted = predict_all(world.servable(), world.data())
    weights = Blend(np.array([0.2, 0.3, 0.5])), Blend(np.array([0.0, 0.25, 0.75]))
    found = figures(Sample.of(predicted), *weights)
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


def test_rows_count_in_every_figure_for_what_they_weigh() -> None:
    """Twice the second row, and nothing of the third, is what two of the second and none of the third are."""
    scores = {
        "sure": [[0.75, 0.25], [0.25, 0.75], [0.5, 0.5]],
        "odd": [[0.5, 0.5], [0.125, 0.875], [0.0, 1.0]],
    }
    weighed = replace(Sample.of(predictions([0, 1, 1], **scores)), weights=np.array([1.0, 2.0, 0.0]))
    often = {name: [given[0], given[1], given[1]] for name, given in scores.items()}
    blends = Blend(np.array([1.0, 0.0])), Blend(np.array([0.5, 0.5]))

    found, expected = figures(weighed, *blends), figures(Sample.of(predictions([0, 1, 1], **often)), *blends)

    assert found["error_correlation"] == expected["error_correlation"]
    for one, other in zip(found["classes"], expected["classes"], strict=True):
        assert one["learned"] == pytest.approx(other["learned"])
    for which in ("incumbent", "learned"):
        told = [
            [(each["confidence"], each["accuracy"]) for each in of["reliability"][which]]
            for of in (found, expected)
        ]
        assert told[0] == told[1]


def test_each_of_several_values_is_told_its_own_loss() -> None:
    counts = {"counts": np.array([1.0, 3.0])}
    several = asked(Truth.VALUES, [[0, 10], [4, 20]], counts, good=[[1, 10], [4, 20]], bad=[[2, 12], [0, 20]])
    sample = RowColumns(weight="counts").sample(several)

    found = figures(sample, Blend(np.array([0.0, 1.0])), Blend(np.array([1.0, 0.0])), AIMS["mse"])

    assert set(found) == {"error_correlation", "classes"}
    assert found["classes"] == [
        {
            "name": "c0",
            "rows": 2,
            "incumbent": {"loss": (4 + 3 * 16) / 4, "accuracy": None},
            "learned": {"loss": 0.25, "accuracy": None},
        },
        {
            "name": "c1",
            "rows": 2,
            "incumbent": {"loss": 1.0, "accuracy": None},
            "learned": {"loss": 0.0, "accuracy": None},
        },
    ]
