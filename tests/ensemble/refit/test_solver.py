import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ensemble.errors import InvalidWeightsError, SolverError
from ensemble.refit.newton import expectation_maximisation, newton
from ensemble.refit.objective import LogLoss, Matrix, Vector, gap_of
from ensemble.refit.solver import Solution, SolverOptions, solve

from .problems import least_log_loss, log_loss, member_counts, random_weights, seeds, true_class_scores


def uniform(members: int) -> Vector:
    return np.full(members, 1 / members)


def fit(scores: Matrix) -> Solution:
    return solve(LogLoss.of(scores), uniform(scores.shape[1]))


def test_two_members_right_on_half_the_rows_each_weigh_the_same() -> None:
    solution = solve(LogLoss.of(np.array([[0.9, 0.1], [0.1, 0.9]])), np.array([0.8, 0.2]))
    np.testing.assert_allclose(solution.weights, [0.5, 0.5], atol=1e-9)
    assert solution.loss == pytest.approx(0.6931471805599453, abs=1e-12)
    assert solution.converged


def test_the_weights_are_those_of_the_solved_equation() -> None:
    # 2 log(0.9 w + 0.2 (1 - w)) + log(0.1 w + 0.8 (1 - w)) is greatest at w = 2/3.
    solution = fit(np.array([[0.9, 0.2], [0.9, 0.2], [0.1, 0.8]]))
    np.testing.assert_allclose(solution.weights, [2 / 3, 1 / 3], atol=1e-8)


@given(seeds, member_counts)
def test_the_solution_lies_on_the_simplex_and_is_certified(seed: int, members: int) -> None:
    scores = true_class_scores(seed, members=members)
    objective = LogLoss.of(scores)
    solution = solve(objective, random_weights(seed, members))
    assert solution.converged
    assert solution.gap <= 1e-9
    assert (solution.weights >= 0).all()
    assert abs(solution.weights.sum() - 1) <= 1e-12
    assert solution.loss == pytest.approx(log_loss(scores, solution.weights), abs=1e-12)
    assert solution.gap == gap_of(solution.weights, objective.value_and_gradient(solution.weights)[1])


@settings(max_examples=50)
@given(seeds, st.integers(1, 300), st.integers(1, 40))
def test_scores_of_any_size_from_any_corner_are_solved(seed: int, rows: int, members: int) -> None:
    random = np.random.default_rng(seed)
    # From 1 down to far below what a float32 holds, and now and then zero.
    scores = np.exp(-random.gamma(0.5, 40, size=(rows, members))) * (random.random((rows, members)) < 0.95)
    scores[scores.max(axis=1) == 0] = 0.1
    solution = solve(LogLoss.of(scores), np.eye(members)[seed % members])
    assert solution.converged
    assert solution.iterations <= 30


@settings(max_examples=25)
@given(seeds)
def test_the_gap_bounds_the_true_excess(seed: int) -> None:
    scores = true_class_scores(seed, rows=40, members=3)
    solution = fit(scores)
    least, error = least_log_loss(scores)
    assert solution.loss - least <= solution.gap + 1e-14
    # And the reference can't be better than the least by its own bound.
    assert least - solution.loss <= error + 1e-14


@given(seeds, member_counts)
def test_permuting_the_members_permutes_the_weights(seed: int, members: int) -> None:
    scores = true_class_scores(seed, members=members)
    order = np.random.default_rng(seed).permutation(members)
    np.testing.assert_allclose(fit(scores[:, order]).weights, fit(scores).weights[order], atol=1e-4)


@given(seeds, member_counts)
def test_permuting_the_members_leaves_the_loss_alone(seed: int, members: int) -> None:
    scores = true_class_scores(seed, members=members)
    order = np.random.default_rng(seed).permutation(members)
    assert fit(scores[:, order]).loss == pytest.approx(fit(scores).loss, abs=2e-9)


@given(seeds, member_counts)
def test_duplicating_every_row_changes_nothing(seed: int, members: int) -> None:
    scores = true_class_scores(seed, members=members)
    once, twice = fit(scores), fit(np.concatenate([scores, scores]))
    np.testing.assert_allclose(twice.weights, once.weights, atol=1e-4)
    assert twice.loss == pytest.approx(once.loss, abs=2e-9)


@given(seeds, member_counts)
def test_a_member_that_always_gives_zero_weighs_exactly_zero_and_changes_nothing(
    seed: int, members: int
) -> None:
    scores = true_class_scores(seed, members=members)
    with_useless = fit(np.column_stack([scores, np.zeros(len(scores))]))
    assert with_useless.weights[-1] == 0
    np.testing.assert_allclose(with_useless.weights[:-1], fit(scores).weights, atol=1e-4)


@given(seeds)
def test_two_copies_of_a_member_share_its_weight(seed: int) -> None:
    scores = true_class_scores(seed, members=3)
    doubled = fit(np.column_stack([scores, scores[:, 0]]))
    assert doubled.converged
    assert doubled.loss == pytest.approx(fit(scores).loss, abs=2e-9)


@given(seeds)
def test_row_weights_count_like_repeated_rows(seed: int) -> None:
    scores = true_class_scores(seed, rows=30, members=3)
    times = np.random.default_rng(seed).integers(0, 4, size=30)
    assume(times.sum() > 0)
    weighed = solve(LogLoss.of(scores, times.astype(np.float64)), uniform(3))
    assert weighed.loss == pytest.approx(fit(np.repeat(scores, times, axis=0)).loss, abs=2e-9)


def test_a_member_worse_on_every_row_weighs_exactly_zero() -> None:
    solution = fit(np.array([[0.9, 0.3], [0.8, 0.7], [0.6, 0.5]]))
    assert solution.weights.tolist() == [1.0, 0.0]
    assert solution.converged


def test_one_member_weighs_one() -> None:
    solution = fit(np.array([[0.5], [0.25]]))
    assert solution.weights.tolist() == [1.0]
    assert (solution.gap, solution.iterations, solution.how) == (0.0, 0, "the start was optimal")


def test_one_row_and_three_members_give_the_row_to_its_best_member() -> None:
    assert fit(np.array([[0.2, 0.7, 0.1]])).weights.tolist() == [0.0, 1.0, 0.0]


def test_a_start_that_leaves_a_row_without_score_is_no_dead_end() -> None:
    objective = LogLoss.of(np.array([[0.0, 0.5], [0.5, 0.0]]))
    solution = solve(objective, np.array([1.0, 0.0]))
    np.testing.assert_allclose(solution.weights, [0.5, 0.5], atol=1e-9)


def test_log_scores_near_minus_nine_hundred_are_solved() -> None:
    # A published tool returns uniform weights, unconverged, for scores of this size.
    logs = np.log(true_class_scores(11, rows=200)) - 900
    solution = solve(LogLoss.of_logs(logs), uniform(4))
    assert solution.converged
    np.testing.assert_allclose(solution.weights, fit(np.exp(logs + 900)).weights, atol=1e-4)


def test_weights_that_differ_by_a_factor_of_a_million_are_both_found() -> None:
    # One row in a million is explained by the second member alone: its weight is one in a million.
    scores = np.array([[0.5, 0.0], [0.0, 1e-3]])
    solution = solve(LogLoss.of(scores, np.array([999_999.0, 1.0])), uniform(2))
    assert solution.converged
    assert solution.weights[1] == pytest.approx(1e-6, rel=1e-3)


def test_a_large_file_is_solved_on_all_its_rows() -> None:
    scores = true_class_scores(2, rows=60_000, members=6)
    solution = solve(LogLoss.of(scores), uniform(6), SolverOptions(guess_rows=1_000))
    assert solution.converged
    assert solution.loss <= log_loss(scores, fit(scores).weights) + 1e-9


def test_a_solution_cut_short_says_so_and_cannot_be_used() -> None:
    options = SolverOptions(max_newton_steps=0, max_slsqp_steps=1, max_em_steps=3)
    solution = solve(LogLoss.of(true_class_scores(1)), uniform(4), options)
    assert not solution.converged
    assert solution.gap > 1e-9
    assert solution.how.endswith("3 em")
    with pytest.raises(SolverError, match=r"may be up to .* nats above the least after .* iterations"):
        solution.checked()


def test_a_solution_that_converged_can_be_used() -> None:
    solution = fit(true_class_scores(1))
    assert solution.checked() is solution


@pytest.mark.parametrize(
    "start", [np.array([1.0]), np.array([-1.0, 2.0]), np.zeros(2), np.array([np.nan, 1])]
)
def test_a_start_that_is_no_weighting_is_refused(start: Vector) -> None:
    with pytest.raises(InvalidWeightsError, match="2 finite numbers"):
        solve(LogLoss.of(np.array([[0.5, 0.4]])), start)


@given(seeds, member_counts)
def test_newton_needs_no_first_guess(seed: int, members: int) -> None:
    objective = LogLoss.of(true_class_scores(seed, members=members))
    reached = newton(objective, uniform(members), tolerance=1e-9, max_steps=60)
    assert reached.gap <= 1e-9


@given(seeds, member_counts)
def test_em_never_raises_the_loss_and_keeps_its_promise(seed: int, members: int) -> None:
    scores = true_class_scores(seed, rows=40, members=members)
    objective = LogLoss.of(scores)
    least, _ = least_log_loss(scores, steps=500)
    losses = [
        objective.value(
            expectation_maximisation(objective, uniform(members), tolerance=0, max_steps=steps).weights
        )
        for steps in (1, 2, 5, 20)
    ]
    assert losses == sorted(losses, reverse=True)
    assert all(
        loss - least <= np.log(members) / steps + 1e-12
        for loss, steps in zip(losses, (1, 2, 5, 20), strict=True)
    )


def test_em_takes_over_where_the_quadratic_programs_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("Maximum number of iterations reached.")

    monkeypatch.setattr("ensemble.refit.newton.nnls", fails)
    scores = np.array([[0.9, 0.1], [0.1, 0.9], [0.6, 0.5]])
    solution = solve(LogLoss.of(scores), uniform(2), SolverOptions(tolerance=1e-7))
    assert solution.converged
    assert "newton" not in solution.how
    assert solution.how.endswith("em")


# Too few Newton steps to get there by these alone.
SHORT = SolverOptions(max_newton_steps=1)


def test_slsqp_helps_where_newton_stops_short() -> None:
    solution = solve(LogLoss.of(true_class_scores(0)), uniform(4), SHORT)
    assert solution.converged
    assert solution.how == "1 newton, 4 slsqp, 1 newton"
    assert solution.message == ""


def test_what_slsqp_finds_is_dropped_if_it_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        success, message, nit = False, "Positive directional derivative for linesearch", 4
        x = np.array([np.nan, np.nan, np.nan, np.nan])

    monkeypatch.setattr("ensemble.refit.solver.minimize", lambda *_, **__: Nothing())
    solution = solve(LogLoss.of(true_class_scores(0)), uniform(4), SHORT)
    assert solution.converged
    assert solution.message == "slsqp found nothing: Positive directional derivative for linesearch"


def test_what_slsqp_finds_is_used_and_told_if_it_stopped_early(monkeypatch: pytest.MonkeyPatch) -> None:
    best = fit(true_class_scores(0)).weights

    class Early:
        success, message, nit = False, "Iteration limit reached", 100
        x = best - 1e-9

    monkeypatch.setattr("ensemble.refit.solver.minimize", lambda *_, **__: Early())
    solution = solve(LogLoss.of(true_class_scores(0)), uniform(4), SHORT)
    assert solution.converged
    assert solution.how == "1 newton, 100 slsqp"
    assert solution.message == "slsqp stopped early: Iteration limit reached"


def test_a_guess_from_a_part_of_the_rows_that_leads_astray_is_dropped() -> None:
    # Every tenth row, all that the guess sees, is better served by the member that is worse on all others.
    scores = np.tile([0.9, 0.1], (1_000, 1))
    scores[::10] = [0.1, 0.9]
    solution = solve(LogLoss.of(scores), np.array([0.9, 0.1]), SolverOptions(guess_rows=100))
    assert solution.converged
    assert solution.how.startswith("1 newton on 100 rows")
    assert solution.loss == pytest.approx(fit(scores).loss, abs=1e-9)


def test_a_tiny_weight_that_a_row_depends_on_is_no_dust() -> None:
    # The second member alone explains a row that counts for one in ten million.
    scores = np.array([[0.5, 0.0], [0.0, 1e-3]])
    solution = solve(LogLoss.of(scores, np.array([9_999_999.0, 1.0])), uniform(2))
    assert 0 < solution.weights[1] < 1e-6
    assert np.isfinite(solution.loss)
