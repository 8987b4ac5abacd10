import numpy as np
import pytest
from hypothesis import given, settings

from ensemble.refit.candidates import Choice, ChoiceOptions, choose, fit, fit_all, procedure_losses
from ensemble.refit.objective import LogLoss, Matrix, Vector
from ensemble.refit.solver import SolverOptions, solve

from .problems import log_loss, random_weights, seeds, true_class_scores

OPTIONS = ChoiceOptions()
ORDER = [
    "incumbent", "uniform", "shrunk_300", "shrunk_100", "shrunk_30", "shrunk_10", "linear", "best_single",
]  # fmt: skip


def uniform(members: int) -> Vector:
    return np.full(members, 1 / members)


def complementary(rows: int) -> Matrix:
    """Two members, each right where the other isn't, twice as often the first; uniform is far off."""
    first = np.arange(rows) % 3 > 0
    return np.where(np.stack([first, ~first], axis=1), 0.9, 0.1)


def test_the_candidates_go_from_simple_to_rich() -> None:
    assert list(fit_all(true_class_scores(0), uniform(4), OPTIONS.taus)) == ORDER


def test_the_weights_being_served_stay_where_nothing_is_clearly_better() -> None:
    scores = true_class_scores(1, rows=500)
    best = solve(LogLoss.of(scores), uniform(4)).weights
    assert choose(scores, best, OPTIONS).name == "incumbent"


def test_a_clearly_better_weighting_is_chosen() -> None:
    scores = complementary(3000)
    choice = choose(scores, np.array([0.0, 1.0]), OPTIONS)
    assert choice.name not in ("incumbent", "uniform", "best_single")
    assert choice.held_out["linear"] < choice.held_out["uniform"] < choice.held_out["incumbent"]


def test_one_row_leaves_no_choice() -> None:
    assert choose(np.array([[0.5, 0.25]]), uniform(2), OPTIONS).name == "linear"


def test_a_choice_on_part_of_the_rows_is_a_choice() -> None:
    assert choose(complementary(3000), np.array([0.0, 1.0]), ChoiceOptions(rows=300)).held_out.keys() == set(
        ORDER
    )


def test_the_linear_candidate_is_the_certified_optimum() -> None:
    scores = true_class_scores(3)
    solution = fit(Choice("linear", {}), scores, uniform(4), SolverOptions())
    assert solution.gap <= 1e-9
    assert solution.loss == pytest.approx(solve(LogLoss.of(scores), uniform(4)).loss, abs=2e-9)


@pytest.mark.parametrize(
    ("name", "weights"), [("incumbent", [0.75, 0.25]), ("uniform", [0.5, 0.5]), ("best_single", [1.0, 0.0])]
)
def test_a_given_weighting_is_returned_with_its_true_gap(name: str, weights: list[float]) -> None:
    scores = complementary(30)
    solution = fit(Choice(name, {}), scores, np.array([0.75, 0.25]), SolverOptions())
    assert solution.weights.tolist() == weights
    assert solution.converged
    assert solution.loss == pytest.approx(log_loss(scores, np.array(weights)))
    assert solution.gap >= solution.loss - solve(LogLoss.of(scores), uniform(2)).loss


@settings(max_examples=25)
@given(seeds)
def test_the_more_rows_the_served_weights_count_for_the_nearer_the_shrunk_ones_are(seed: int) -> None:
    scores, incumbent = true_class_scores(seed), random_weights(seed, 4)
    fitted = [
        fit(Choice(f"shrunk_{tau}", {}), scores, incumbent, SolverOptions()) for tau in (1, 30, 1000, 1e6)
    ]
    assert all(solution.converged for solution in fitted)
    far = [float(incumbent @ np.log(incumbent / solution.weights)) for solution in fitted]
    assert far == sorted(far, reverse=True)
    np.testing.assert_allclose(fitted[-1].weights, incumbent, atol=1e-3)


def test_the_whole_procedure_is_judged_on_rows_it_did_not_see() -> None:
    # Rows of pure noise: what is learned from them is worth less than it looks.
    scores = np.random.default_rng(0).uniform(0.05, 0.95, size=(60, 8))
    solution = solve(LogLoss.of(scores), uniform(8))
    held_out = procedure_losses(scores, uniform(8), ChoiceOptions(taus=()))
    assert held_out.shape == (60,)
    assert held_out.mean() > solution.loss
