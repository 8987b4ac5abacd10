import math

import numpy as np
import pytest
from hypothesis import given

from ensemble.errors import InvalidDataError
from ensemble.refit.objective import LogLoss, Matrix, gap_of

from .problems import least_log_loss, log_loss, member_counts, random_weights, seeds, true_class_scores

TWO_ROWS = np.array([[0.5, 1.0], [0.25, 0.5]])


def test_the_loss_is_the_mean_negative_log_of_the_average_score() -> None:
    # The averages at (1/2, 1/2) are 3/4 and 3/8.
    expected = -(math.log(0.75) + math.log(0.375)) / 2
    assert LogLoss.of(TWO_ROWS).value(np.array([0.5, 0.5])) == pytest.approx(expected, abs=1e-15)


def test_row_weights_count_rows_more_or_less() -> None:
    loss = LogLoss.of(TWO_ROWS, np.array([3.0, 1.0])).value(np.array([0.0, 1.0]))
    assert loss == pytest.approx(-math.log(0.5) / 4, abs=1e-15)


def test_a_row_of_weight_zero_is_left_out_even_if_no_member_allows_for_it() -> None:
    objective = LogLoss.of(np.array([[0.5, 0.25], [0.0, 0.0]]), np.array([1.0, 0.0]))
    assert objective.rows == 1
    assert objective.value(np.array([1.0, 0.0])) == pytest.approx(math.log(2), abs=1e-15)


@given(seeds, member_counts)
def test_the_gradient_is_the_slope_and_the_hessian_the_slope_of_the_gradient(seed: int, members: int) -> None:
    objective = LogLoss.of(true_class_scores(seed, members=members))
    at = random_weights(seed, members) + 0.05
    value, gradient = objective.value_and_gradient(at)
    hessian = objective.hessian(at, np.arange(members))
    step = 1e-6
    ahead = [objective.value_and_gradient(at + step * unit) for unit in np.eye(members)]
    behind = [objective.value_and_gradient(at - step * unit) for unit in np.eye(members)]
    slope = [(up[0] - down[0]) / (2 * step) for up, down in zip(ahead, behind, strict=True)]
    curve = [(up[1] - down[1]) / (2 * step) for up, down in zip(ahead, behind, strict=True)]
    assert value == pytest.approx(objective.value(at), abs=1e-13)
    np.testing.assert_allclose(gradient, slope, atol=1e-6)
    np.testing.assert_allclose(hessian, curve, atol=1e-5, rtol=1e-5)


def test_rows_of_many_blocks_add_up_to_the_plain_formula() -> None:
    scores = true_class_scores(3, rows=50_000, members=8)
    weights = random_weights(3, 8)
    objective = LogLoss.of(scores)
    value, gradient = objective.value_and_gradient(weights)
    hessian = objective.hessian(weights, np.arange(8))
    mixed = scores @ weights
    assert value == pytest.approx(log_loss(scores, weights), abs=1e-12)
    np.testing.assert_allclose(gradient, -(scores / mixed[:, None]).mean(axis=0), rtol=1e-12)
    ratio = scores / mixed[:, None]
    np.testing.assert_allclose(hessian, ratio.T @ ratio / 50_000, rtol=1e-12)


def test_scores_too_small_for_a_float_are_no_trouble_as_logs() -> None:
    logs = np.array([[-900.0, -901.0], [-1200.0, -1199.0]])
    value, gradient = LogLoss.of_logs(logs).value_and_gradient(np.array([0.5, 0.5]))
    mixed = math.log((1 + math.exp(-1)) / 2)
    assert value == pytest.approx(1049.5 - mixed, rel=1e-14)
    np.testing.assert_allclose(gradient, [-1, -1], rtol=1e-14)


def test_logs_and_scores_say_the_same() -> None:
    scores = true_class_scores(5)
    weights = random_weights(5, 4)
    assert LogLoss.of_logs(np.log(scores)).value(weights) == pytest.approx(
        LogLoss.of(scores).value(weights), abs=1e-14
    )


def test_the_loss_is_infinite_where_a_row_gets_no_score_and_the_slope_stays_a_number() -> None:
    objective = LogLoss.of(np.array([[0.0, 0.5], [0.5, 0.5]]))
    value, gradient = objective.value_and_gradient(np.array([1.0, 0.0]))
    assert value == math.inf
    assert np.isfinite(gradient).all()
    assert gradient[1] < -1e100


@given(seeds, member_counts)
def test_the_gap_bounds_the_excess_of_any_weights(seed: int, members: int) -> None:
    scores = true_class_scores(seed, rows=40, members=members)
    objective = LogLoss.of(scores)
    weights = random_weights(seed, members)
    value, gradient = objective.value_and_gradient(weights)
    least, _ = least_log_loss(scores, steps=300)
    assert value - least <= gap_of(weights, gradient) + 1e-12


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        (np.array([[0.5, 0.1], [0.0, 0.0], [0.0, 0.0]]), "2 of 3 rows .* the first in row 1"),
        (np.array([[0.5, np.nan]]), "row 0 holds"),
        (np.array([[0.5, 0.5], [0.5, -0.1]]), "row 1 holds"),
        (np.empty((0, 2)), "at least one of each"),
        (np.array([0.5, 0.5]), "need .row, member."),
    ],
)
def test_scores_that_no_weights_can_be_learned_from_are_refused(scores: Matrix, says: str) -> None:
    with pytest.raises(InvalidDataError, match=says):
        LogLoss.of(scores)


@pytest.mark.parametrize(
    "logs", [np.array([[np.nan, 0.0]]), np.array([[np.inf, 0.0]]), np.array([[-np.inf, -np.inf]])]
)
def test_logs_that_no_weights_can_be_learned_from_are_refused(logs: Matrix) -> None:
    with pytest.raises(InvalidDataError):
        LogLoss.of_logs(logs)


@pytest.mark.parametrize(
    "weights", [np.array([1.0]), np.array([1.0, -1.0]), np.zeros(2), np.array([1.0, np.nan])]
)
def test_row_weights_that_are_none_are_refused(weights: Matrix) -> None:
    with pytest.raises(InvalidDataError, match="row weights"):
        LogLoss.of(TWO_ROWS, weights)


def test_every_nth_row_stands_for_all() -> None:
    thin = LogLoss.of(np.arange(1, 23, dtype=np.float64).reshape(11, 2) / 22).thinned(4)
    assert thin.rows == 4
    np.testing.assert_allclose(thin.scaled[:, 0] * 22, [1, 7, 13, 19])
    assert thin.row_weights.sum() == pytest.approx(1, abs=1e-15)
