import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad, minimize

from ensemble.refit import exponents
from ensemble.refit.blend import Blend
from ensemble.refit.exponents import LogPoolLoss, find_exponents, find_path, floor_for
from ensemble.refit.objective import Vector

from .problems import class_sample, seeds

ridges = st.sampled_from([0.1, 1.0, 30.0])


def random_exponents(seed: int, count: int = 3) -> Vector:
    return np.asarray(np.random.default_rng(seed).uniform(0, 2, size=count), dtype=np.float64)


def plain_loss(seed: int, given: Vector) -> float:
    """The formula as it is written down."""
    sample = class_sample(seed)
    odds = np.ones((sample.rows, 4))
    for exponent, scores in zip(given, sample.predictions.scores, strict=True):
        odds *= np.maximum(scores[:].astype(float), floor_for(sample)) ** exponent
    true = odds[np.arange(sample.rows), sample.labels] / odds.sum(axis=1)
    return float(-np.log(true).mean())


@given(seeds)
def test_the_loss_is_the_log_loss_of_the_geometric_mean(seed: int) -> None:
    given = random_exponents(seed)
    loss = LogPoolLoss.of(class_sample(seed), 3.0)
    assert loss.plain(given) == pytest.approx(plain_loss(seed, given), abs=1e-10)
    assert loss.value(given) == pytest.approx(
        plain_loss(seed, given) + 3 / 400 * float(((given - 1 / 3) ** 2).sum()), abs=1e-10
    )


@settings(max_examples=20)
@given(seeds, ridges)
def test_slope_and_curvature_are_those_of_the_loss(seed: int, ridge: float) -> None:
    loss = LogPoolLoss.of(class_sample(seed), ridge)
    given = random_exponents(seed) + 0.1
    assert check_grad(loss.value, lambda b: loss.value_gradient_hessian(b)[1], given) < 1e-5
    hessian = loss.value_gradient_hessian(given)[2]
    for index, step in enumerate(np.eye(3) * 1e-5):
        above, below = (loss.value_gradient_hessian(given + sign * step)[1] for sign in (1, -1))
        np.testing.assert_allclose((above - below) / 2e-5, hessian[index], atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(seeds, ridges)
def test_what_is_found_is_what_a_general_solver_finds(seed: int, ridge: float) -> None:
    loss = LogPoolLoss.of(class_sample(seed, rows=80), ridge)
    found = find_exponents(loss, np.full(3, 1 / 3), tolerance=1e-10)
    general = minimize(loss.value, np.full(3, 1 / 3), method="L-BFGS-B", bounds=[(0, None)] * 3, tol=1e-14)
    assert found.gap <= 1e-10
    assert (found.values >= 0).all()
    assert loss.value(found.values) <= general.fun + 1e-9
    np.testing.assert_allclose(found.values, general.x, atol=2e-3)


@settings(max_examples=25)
@given(seeds, ridges)
def test_the_gap_bounds_how_much_lower_the_loss_can_be(seed: int, ridge: float) -> None:
    loss = LogPoolLoss.of(class_sample(seed), ridge)
    least = loss.value(find_exponents(loss, np.full(3, 1 / 3), tolerance=1e-11).values)
    for shift in range(3):
        given = random_exponents(seed + shift)
        value, gradient, _ = loss.value_gradient_hessian(given)
        assert value - least <= loss.gap(given, gradient) + 1e-12


def test_a_member_that_points_away_from_the_truth_gets_no_exponent() -> None:
    sample = class_sample(0, evidence=(1.0, -1.0))
    wrong = find_exponents(LogPoolLoss.of(sample, 0.1), np.full(2, 0.5), tolerance=1e-10)
    # Its evidence is negative and it takes it as such, so it is as good as the first.
    assert wrong.values.min() > 0.5
    turned = class_sample(0, evidence=(1.0, 1.0))
    scores = turned.predictions.scores
    backwards = tuple(np.roll(each[:], 1, axis=1) if index else each for index, each in enumerate(scores))
    object.__setattr__(turned.predictions, "scores", backwards)
    found = find_exponents(LogPoolLoss.of(turned, 0.1), np.full(2, 0.5), tolerance=1e-10)
    assert found.values[1] == 0


def test_the_stronger_the_ridge_the_nearer_the_exponents_are_to_their_prior() -> None:
    path = find_path(LogPoolLoss.of(class_sample(1), 1.0), (0.1, 1.0, 10.0, 1e6), tolerance=1e-9)
    far = [float(np.abs(path[ridge].values - 1 / 3).sum()) for ridge in (1e6, 10.0, 1.0, 0.1)]
    assert far == sorted(far)
    assert far[0] < 1e-3


def test_rows_that_are_read_again_at_every_step_give_the_same_exponents(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sample = class_sample(2)
    kept = find_exponents(LogPoolLoss.of(sample, 1.0), np.full(3, 1 / 3), tolerance=1e-10)
    monkeypatch.setattr(exponents, "KEPT_VALUES", 10)
    monkeypatch.setattr("ensemble.refit.sample.BLOCK_ROWS", 33)
    assert LogPoolLoss.of(sample, 1.0).kept == ()
    read = find_exponents(LogPoolLoss.of(sample, 1.0), np.full(3, 1 / 3), tolerance=1e-10)
    np.testing.assert_allclose(read.values, kept.values, atol=1e-9)


def test_an_average_has_one_exponent() -> None:
    loss = LogPoolLoss.of(class_sample(3), 1.0, Blend.uniform(3))
    found = find_exponents(loss, np.ones(1), tolerance=1e-10)
    # Members that know different things are timid on average.
    assert found.values.shape == (1,)
    assert found.values[0] > 1.2


def test_steps_that_run_out_leave_the_best_point_with_its_gap() -> None:
    found = find_exponents(
        LogPoolLoss.of(class_sample(4), 0.1), np.full(3, 50.0), tolerance=1e-12, max_steps=1
    )
    assert found.gap > 1e-12
    assert found.steps <= 1
