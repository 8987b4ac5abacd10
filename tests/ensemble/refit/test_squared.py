import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from ensemble.errors import InvalidDataError
from ensemble.refit.objective import Matrix, Vector
from ensemble.refit.solver import solve_squared
from ensemble.refit.squared import SquaredLoss, least_squared

from .problems import member_counts, random_weights, seeds


def problem(seed: int, rows: int = 60, members: int = 4, outputs: int = 3) -> tuple[Matrix, Matrix]:
    """Targets and noisy copies of them, some noisier, with noise that members share."""
    random = np.random.default_rng(seed)
    targets = random.normal(size=(rows, outputs))
    noise = random.normal(size=(members, rows, outputs)) * random.uniform(0.2, 2, size=(members, 1, 1))
    return targets + noise + random.normal(size=(rows, outputs)), targets


def mean_squared_error(scores: Matrix, targets: Matrix, weights: Vector) -> float:
    return float((((weights @ scores.reshape(len(scores), -1)) - targets.ravel()) ** 2).sum() / len(targets))


@given(seeds, member_counts)
def test_the_loss_is_the_mean_squared_error_of_the_average(seed: int, members: int) -> None:
    scores, targets = problem(seed, members=members)
    weights = random_weights(seed, members)
    loss = SquaredLoss.of(scores, targets).value(weights)
    assert loss == pytest.approx(mean_squared_error(scores, targets, weights), rel=1e-12)


def test_the_brier_score_is_the_squared_distance_from_the_true_class() -> None:
    loss = SquaredLoss.brier(np.array([[[0.75, 0.25], [0.5, 0.5]]]), np.array([0, 1]))
    # The rows' distances are 0.125 and 0.5.
    assert loss.value(np.array([1.0])) == 0.3125


def test_two_members_of_independent_errors_weigh_by_the_inverse_of_their_variance() -> None:
    # Errors (2, 0) and (0, 1): variances 4 and 1.
    solution = solve_squared(SquaredLoss.of(np.array([[[2.0], [0.0]], [[0.0], [1.0]]]), np.zeros((2, 1))))
    np.testing.assert_allclose(solution.weights, [0.2, 0.8], atol=1e-12)
    assert solution.loss == pytest.approx(0.4)


@given(seeds, member_counts)
def test_the_solution_lies_on_the_simplex_and_is_certified(seed: int, members: int) -> None:
    solution = solve_squared(SquaredLoss.of(*problem(seed, members=members)))
    assert solution.converged, solution.message
    assert (solution.weights >= 0).all()
    assert abs(solution.weights.sum() - 1) <= 1e-12


@given(seeds, member_counts)
def test_the_solution_is_what_a_general_solver_finds(seed: int, members: int) -> None:
    objective = SquaredLoss.of(*problem(seed, members=members))
    general = minimize(
        objective.value_and_gradient,
        np.full(members, 1 / members),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * members,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert solve_squared(objective).loss <= general.fun + 1e-9
    np.testing.assert_allclose(solve_squared(objective).weights, general.x, atol=1e-3)


@given(seeds, st.integers(1, 59))
def test_shards_add_up_to_the_whole(seed: int, cut: int) -> None:
    scores, targets = problem(seed)
    parts = SquaredLoss.of(scores[:, :cut], targets[:cut]) + SquaredLoss.of(scores[:, cut:], targets[cut:])
    whole = SquaredLoss.of(scores, targets)
    np.testing.assert_allclose(parts.errors, whole.errors, rtol=1e-12)
    assert parts.total == 60


@given(seeds)
def test_row_weights_count_like_repeated_rows(seed: int) -> None:
    scores, targets = problem(seed)
    times = np.random.default_rng(seed).integers(0, 3, size=60) + 1
    weighed = SquaredLoss.of(scores, targets, times.astype(np.float64))
    repeated = SquaredLoss.of(np.repeat(scores, times, axis=1), np.repeat(targets, times, axis=0))
    np.testing.assert_allclose(weighed.errors, repeated.errors, rtol=1e-12)


@given(seeds)
def test_copies_of_a_member_change_no_loss(seed: int) -> None:
    scores, targets = problem(seed)
    doubled = solve_squared(SquaredLoss.of(np.concatenate([scores, scores[:1]]), targets))
    assert doubled.converged
    assert doubled.loss == pytest.approx(solve_squared(SquaredLoss.of(scores, targets)).loss, rel=1e-9)


def test_errors_of_any_unit_are_solved() -> None:
    scores, targets = problem(7)
    small = solve_squared(SquaredLoss.of(scores, targets))
    large = solve_squared(SquaredLoss.of(scores * 1e6, targets * 1e6))
    assert large.converged
    np.testing.assert_allclose(large.weights, small.weights, atol=1e-9)


def test_members_without_any_error_are_weighed_alike() -> None:
    objective = SquaredLoss.of(np.ones((2, 3, 1)), np.ones((3, 1)))
    assert least_squared(objective).tolist() == [0.5, 0.5]
    assert solve_squared(objective).converged


def test_a_member_without_any_error_gets_all_the_weight() -> None:
    solution = solve_squared(
        SquaredLoss.of(np.array([[[1.0], [2.0]], [[5.0], [0.0]]]), np.array([[1.0], [2.0]]))
    )
    np.testing.assert_allclose(solution.weights, [1, 0], atol=1e-12)


@pytest.mark.parametrize(
    ("scores", "targets", "weights"),
    [
        (np.ones((1, 2, 1)), np.ones((3, 1)), None),
        (np.ones((1, 2, 1)), np.ones((2, 1)), np.array([1.0])),
        (np.ones((1, 2, 1)), np.ones((2, 1)), np.array([0.0, 0.0])),
        (np.full((1, 2, 1), np.nan), np.ones((2, 1)), None),
    ],
)
def test_what_no_weights_can_be_learned_from_is_refused(
    scores: Matrix, targets: Matrix, weights: Vector | None
) -> None:
    with pytest.raises(InvalidDataError):
        SquaredLoss.of(scores, targets, weights)
