import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_pinball_loss

from ensemble.errors import InvalidDataError
from ensemble.refit.objective import Matrix, Vector
from ensemble.refit.pinball import PinballLoss, solve_pinball

from .problems import random_weights, seeds

quantiles = st.sampled_from([0.05, 0.5, 0.9])


def problem(seed: int, rows: int = 60, members: int = 4) -> tuple[Matrix, Vector]:
    random = np.random.default_rng(seed)
    targets = random.normal(size=rows)
    bias, noise = random.normal(size=members) * 0.5, random.normal(size=(rows, members))
    return targets[:, None] + bias + noise * random.uniform(0.2, 2, size=members), targets


@given(seeds, quantiles)
def test_the_loss_is_scikit_learns(seed: int, quantile: float) -> None:
    (scores, targets), weights = problem(seed), random_weights(seed, 4)
    times = np.random.default_rng(seed).uniform(0.1, 2, size=60)
    expected = mean_pinball_loss(targets, scores @ weights, alpha=quantile, sample_weight=times)
    assert PinballLoss.of(scores, targets, quantile, times).value(weights) == pytest.approx(expected)


@settings(max_examples=25, deadline=None)
@given(seeds, quantiles)
def test_no_weights_do_better_and_the_gap_proves_it(seed: int, quantile: float) -> None:
    loss = PinballLoss.of(*problem(seed), quantile)
    solution = solve_pinball(loss)
    assert solution.converged, solution.message
    assert (solution.weights >= 0).all()
    assert solution.weights.sum() == pytest.approx(1, abs=1e-12)
    others = [random_weights(seed + shift, 4) for shift in range(50)]
    assert all(
        solution.loss - solution.gap <= loss.value(weights) + 1e-12 for weights in [*others, *np.eye(4)]
    )


@given(seeds, quantiles)
def test_any_prices_bound_any_loss(seed: int, quantile: float) -> None:
    loss = PinballLoss.of(*problem(seed), quantile)
    prices = np.random.default_rng(seed).normal(size=60)
    assert loss.bound(prices) <= loss.value(random_weights(seed, 4)) + 1e-12


def test_a_member_that_is_never_off_gets_all_the_weight() -> None:
    targets = np.array([1.0, 2.0, 3.0])
    scores = np.stack([targets, targets + 1], axis=1)
    assert solve_pinball(PinballLoss.of(scores, targets, 0.3)).weights.tolist() == pytest.approx([1, 0])


def test_units_do_not_matter() -> None:
    scores, targets = problem(3)
    small, large = (solve_pinball(PinballLoss.of(scores * unit, targets * unit, 0.5)) for unit in (1.0, 1e6))
    assert large.converged
    np.testing.assert_allclose(large.weights, small.weights, atol=1e-6)


def test_row_weights_count_like_repeated_rows() -> None:
    scores, targets = problem(4)
    times = np.random.default_rng(4).integers(0, 3, size=60)
    weighed = solve_pinball(PinballLoss.of(scores, targets, 0.7, times.astype(float)))
    repeated = solve_pinball(PinballLoss.of(np.repeat(scores, times, 0), np.repeat(targets, times), 0.7))
    assert weighed.loss == pytest.approx(repeated.loss, abs=1e-9)


@pytest.mark.parametrize(
    ("quantile", "weights", "said"),
    [
        (1.0, None, "above 0 and below 1"),
        (0.5, np.zeros(60), "not all zero"),
        (0.5, np.ones(3), "don't go with"),
        (0.5, np.full(60, np.nan), "must be finite"),
    ],
)
def test_what_no_weights_can_be_learned_from_is_refused(
    quantile: float, weights: Vector | None, said: str
) -> None:
    with pytest.raises(InvalidDataError, match=said):
        PinballLoss.of(*problem(0), quantile, weights)
