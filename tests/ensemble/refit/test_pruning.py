import numpy as np
import pytest
from hypothesis import given, settings

from ensemble.refit.blend import Blend
from ensemble.refit.candidates import Choice, ChoiceOptions
from ensemble.refit.pruning import Pruned, prune, restricted, widened
from ensemble.refit.solver import SolverOptions

from .problems import class_sample, random_weights, sample_of, seeds

OPTIONS = ChoiceOptions(taus=())
LINEAR = Choice("linear", {})


@given(seeds)
def test_what_is_restricted_and_widened_again_has_grown_and_lost_nothing_else(seed: int) -> None:
    blend = Blend(random_weights(seed, 4), "log", 0.5)
    found = widened(restricted(blend, [0, 2]), [0, 2], 4)
    assert found.weights[[1, 3]].tolist() == [0, 0]
    assert found.weights.sum() == pytest.approx(1)
    assert found.weights[0] * blend.weights[2] == pytest.approx(found.weights[2] * blend.weights[0])
    assert found.same_pool(blend)


def test_where_all_that_is_left_weighs_nothing_it_weighs_alike() -> None:
    assert restricted(Blend(np.array([1.0, 0.0, 0.0])), [1, 2]).weights.tolist() == [0.5, 0.5]


def test_a_copy_goes_for_nothing_and_the_rest_stays() -> None:
    sample = class_sample(0, rows=600, evidence=(1.0, 1.0))
    doubled = sample.only([0, 1, 0])
    pruned = prune(LINEAR, doubled, Blend.uniform(3), OPTIONS, 1e-4)
    assert pruned.kept is not None
    assert len(pruned.kept) == 2
    assert 1 in pruned.kept
    assert pruned.removed[0].cost <= 1e-4


@settings(max_examples=8, deadline=None)
@given(seeds)
def test_the_more_may_be_paid_the_fewer_members_are_left(seed: int) -> None:
    sample = class_sample(seed, rows=150, evidence=(0.3, 0.6, 0.9, 1.2))
    counts = []
    for cost in (0.0, 0.01, 0.05, 10.0):
        pruned = prune(LINEAR, sample, Blend.uniform(4), OPTIONS, cost)
        counts.append(4 if pruned.kept is None else len(pruned.kept))
        assert all(removal.cost <= cost for removal in pruned.removed)
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 1


def test_what_is_left_is_fitted_as_if_there_were_no_others() -> None:
    sample = class_sample(1)
    pruned = Pruned(LINEAR, (0, 2))
    found = pruned.fitted(sample, Blend.uniform(3), SolverOptions(), OPTIONS)
    alone = Pruned(LINEAR).fitted(sample.only([0, 2]), Blend.uniform(2), SolverOptions(), OPTIONS)
    assert found.blend.weights[1] == 0
    np.testing.assert_allclose(found.blend.weights[[0, 2]], alone.blend.weights)
    assert found.solution.converged
    assert found.solution.weights is found.blend.weights


def test_one_row_has_no_price() -> None:
    sample = sample_of(np.array([[0.5, 0.4]]))
    assert prune(LINEAR, sample, Blend.uniform(2), OPTIONS, 1.0).kept is None


def test_what_was_let_go_is_told_with_its_price_in_loss_and_time() -> None:
    pruned = prune(
        LINEAR, class_sample(2, rows=600, evidence=(1.0, 1.0, 1.0)), Blend.uniform(3), OPTIONS, 10.0
    )
    told = pruned.to_json(10.0, dict.fromkeys(["m0", "m1", "m2"], 0.002))
    assert told["max_cost"] == 10.0
    assert len(told["removed"]) == 2
    assert [removal["milliseconds_a_row"] for removal in told["removed"]] == pytest.approx([2.0, 2.0])
    unknown = pruned.to_json(10.0, {})["removed"]
    assert [removal["milliseconds_a_row"] for removal in unknown] == [None, None]
    assert [removal["cost"] for removal in told["removed"]] == sorted(
        removal["cost"] for removal in told["removed"]
    )
