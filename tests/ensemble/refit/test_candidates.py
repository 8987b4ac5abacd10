import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble.refit.blend import Blend
from ensemble.refit.candidates import (
    POOLS,
    Candidates,
    Choice,
    ChoiceOptions,
    Fitted,
    choose,
    fit,
    fit_all,
)
from ensemble.refit.crossfit import capped_losses
from ensemble.refit.exponents import log_blend
from ensemble.refit.objective import LogLoss
from ensemble.refit.sample import Sample
from ensemble.refit.solver import SolverOptions, solve
from ensemble.refit.trying import procedure_losses

from .problems import class_sample, log_loss, random_weights, sample_of, seeds, true_class_scores

OPTIONS = ChoiceOptions()
ALL = ChoiceOptions(pools=POOLS, taus=(), ridges=(10.0, 1.0))


def uniform(members: int) -> Blend:
    return Blend.uniform(members)


def fitted(name: str, sample: Sample, incumbent: Blend, options: ChoiceOptions = OPTIONS) -> Fitted:
    return fit(Choice(name, {}), sample, incumbent, SolverOptions(), options)


def complementary(rows: int) -> Sample:
    """Two members, each right where the other isn't, twice as often the first; uniform is far off."""
    first = np.arange(rows) % 3 > 0
    return sample_of(np.where(np.stack([first, ~first], axis=1), 0.9, 0.1))


def test_the_candidates_go_from_simple_to_rich() -> None:
    sample = sample_of(true_class_scores(0))
    shrunk = ["shrunk_300", "shrunk_100", "shrunk_30", "shrunk_10"]
    assert list(fit_all(sample, uniform(4), OPTIONS)) == [
        "incumbent", "uniform", *shrunk, "linear", "best_single",
    ]  # fmt: skip
    assert Candidates(sample, uniform(4), ALL).names == [
        "incumbent", "uniform", "linear", "best_single", "linear_temperature", "log_10", "log_1",
    ]  # fmt: skip


def test_the_weights_being_served_stay_where_nothing_is_clearly_better() -> None:
    scores = true_class_scores(1, rows=500)
    best = Blend(solve(LogLoss.of(scores), np.full(4, 0.25)).weights)
    assert choose(sample_of(scores), best, OPTIONS).name == "incumbent"


def test_a_clearly_better_weighting_is_chosen() -> None:
    choice = choose(complementary(3000), Blend(np.array([0.0, 1.0])), OPTIONS)
    assert choice.name not in ("incumbent", "uniform", "best_single")
    assert choice.held_out["linear"] < choice.held_out["uniform"] < choice.held_out["incumbent"]


def test_one_row_leaves_no_choice() -> None:
    assert choose(sample_of(np.array([[0.5, 0.25]])), uniform(2), OPTIONS).name == "linear"


def test_a_choice_on_part_of_the_rows_is_a_choice() -> None:
    choice = choose(complementary(3000), Blend(np.array([0.0, 1.0])), ChoiceOptions(rows=300))
    assert len(choice.held_out) == 8


def test_the_linear_candidate_is_the_certified_optimum() -> None:
    scores = true_class_scores(3)
    solution = fitted("linear", sample_of(scores), uniform(4)).solution
    assert solution.gap <= 1e-9
    assert solution.loss == pytest.approx(solve(LogLoss.of(scores), np.full(4, 0.25)).loss, abs=2e-9)


@pytest.mark.parametrize(
    ("name", "weights"), [("incumbent", [0.75, 0.25]), ("uniform", [0.5, 0.5]), ("best_single", [1.0, 0.0])]
)
def test_a_given_weighting_is_returned_with_its_true_gap(name: str, weights: list[float]) -> None:
    sample = complementary(30)
    found = fitted(name, sample, Blend(np.array([0.75, 0.25])))
    assert found.blend.weights.tolist() == weights
    assert found.solution.converged
    assert found.solution.loss == pytest.approx(log_loss(sample.true_class, np.array(weights)))
    best = solve(LogLoss.of(sample.true_class), np.full(2, 0.5)).loss
    assert found.solution.gap >= found.solution.loss - best


@settings(max_examples=25)
@given(seeds)
def test_the_more_rows_the_served_weights_count_for_the_nearer_the_shrunk_ones_are(seed: int) -> None:
    sample, incumbent = sample_of(true_class_scores(seed)), random_weights(seed, 4)
    found = [fitted(f"shrunk_{tau}", sample, Blend(incumbent)) for tau in (1, 30, 1000, 1e6)]
    assert all(each.solution.converged for each in found)
    far = [float(incumbent @ np.log(incumbent / each.blend.weights)) for each in found]
    assert far == sorted(far, reverse=True)
    np.testing.assert_allclose(found[-1].blend.weights, incumbent, atol=1e-3)


def test_the_whole_procedure_is_judged_on_rows_it_did_not_see() -> None:
    # Rows of pure noise: what is learned from them is worth less than it looks.
    scores = np.random.default_rng(0).uniform(0.05, 0.95, size=(60, 8))
    solution = solve(LogLoss.of(scores), np.full(8, 1 / 8))
    held_out = procedure_losses(sample_of(scores), uniform(8), ChoiceOptions(taus=()))
    assert held_out.shape == (60,)
    assert held_out.mean() > solution.loss


def test_timid_members_make_a_temperature_worth_its_while() -> None:
    # Right nine times of ten, and only two thirds sure of it.
    sample = sample_of(np.where(np.arange(600)[:, None] % 10 < 9, 2 / 3, 1 / 3) * np.ones((1, 2)))
    options = ChoiceOptions(pools=("linear", "temperature"), taus=())
    assert choose(sample, uniform(2), options).name == "linear_temperature"
    found = fitted("linear_temperature", sample, uniform(2), options)
    assert found.solution.converged
    # Near the temperature that makes two thirds nine tenths, from above: the ridge holds it back.
    assert 0 < found.blend.temperature - np.log(2) / np.log(9) < 0.1
    assert found.solution.loss == pytest.approx(float(capped_losses(sample, found.blend).mean()), abs=1e-12)
    assert found.solution.loss < fitted("linear", sample, uniform(2)).solution.loss


def test_members_that_know_different_things_make_a_log_pool_worth_its_while() -> None:
    sample = class_sample(0, rows=1500, evidence=(1.0, 1.0, 1.0))
    choice = choose(sample, uniform(3), ALL)
    assert choice.name.startswith("log_")
    found = fitted(choice.name, sample, uniform(3), ALL)
    # Independent evidence adds up: every exponent is one.
    np.testing.assert_allclose(found.blend.weights / found.blend.temperature, 1, atol=0.15)
    assert found.solution.converged
    assert found.solution.gap <= 1e-9
    assert found.solution.loss == pytest.approx(float(capped_losses(sample, found.blend).mean()), abs=1e-9)


def test_the_one_that_was_chosen_is_the_one_that_is_fitted() -> None:
    sample = class_sample(1, rows=200)
    for name, rough in fit_all(sample, uniform(3), ALL).items():
        exact = fitted(name, sample, uniform(3), ALL).blend
        assert exact.same_pool(rough) or exact.temperature == pytest.approx(rough.temperature, rel=0.02)
        assert exact.form == rough.form
        # Rough is enough to compare by: the losses are the same to five digits.
        assert capped_losses(sample, exact).mean() == pytest.approx(
            capped_losses(sample, rough).mean(), abs=1e-5
        )


def test_a_pool_that_is_served_and_no_plain_average_competes_as_it_is() -> None:
    sample = class_sample(2, rows=300)
    served = Blend(np.full(3, 1 / 3), "log", 0.4)
    found = fitted("incumbent", sample, served)
    assert found.blend is served
    assert found.solution.loss == pytest.approx(float(capped_losses(sample, served).mean()))
    assert "shrunk_300" not in Candidates(sample, served, OPTIONS).names


def test_exponents_of_zero_make_scores_that_say_nothing() -> None:
    blend = log_blend(np.zeros(2), 0.005)
    sample = sample_of(np.array([[0.9, 0.8]]))
    assert float(sample.true_class_scores(blend)[0]) == pytest.approx(0.5, abs=1e-5)


@settings(max_examples=15, deadline=None)
@given(seeds, st.sampled_from(["linear", "log_1", "linear_temperature"]))
def test_a_row_that_counts_twice_is_a_row_that_is_there_twice(seed: int, name: str) -> None:
    sample = class_sample(seed, rows=60)
    times = np.random.default_rng(seed).integers(1, 4, size=60)
    repeated = sample.take(np.repeat(np.arange(60), times))
    weighed = class_sample(seed, rows=60, weights=times.astype(float))
    one, other = (fitted(name, rows, uniform(3), ALL) for rows in (repeated, weighed))
    # The ridge counts rows, not their weights, so exponents may differ a little; averages may not.
    tolerance = 1e-4 if name == "linear" else 0.1
    np.testing.assert_allclose(one.blend.weights, other.blend.weights, atol=tolerance)


@pytest.mark.parametrize("name", ["linear", "log_1", "linear_temperature", "best_single"])
def test_permuting_members_permutes_their_weights(name: str) -> None:
    sample = class_sample(3, rows=120, evidence=(0.5, 1.0, 2.0))
    order = [2, 0, 1]
    straight = fitted(name, sample, uniform(3), ALL).blend
    permuted = fitted(name, sample.only(order), uniform(3), ALL).blend
    np.testing.assert_allclose(permuted.weights, straight.weights[order], atol=1e-5)
    assert permuted.temperature == pytest.approx(straight.temperature, abs=1e-6)
