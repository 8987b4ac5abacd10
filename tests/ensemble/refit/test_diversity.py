import numpy as np
import pytest
from hypothesis import given, settings

from ensemble.refit.diversity import (
    Worth,
    log_decomposition,
    pairs,
    squared_decomposition,
    value_of_each,
)
from ensemble.refit.sample import Sample

from .data import predictions
from .problems import class_sample, random_weights, seeds

YES, NO = (0.75, 0.25), (0.25, 0.75)


def test_pairs_are_compared_by_which_rows_they_are_right_about() -> None:
    # Both right about rows 0 to 2, one alone about row 3 and row 4, none about row 5.
    found = pairs(
        Sample.of(predictions([0] * 6, a=[YES, YES, YES, YES, NO, NO], b=[YES, YES, YES, NO, YES, NO]))
    )
    assert found.disagreement == pytest.approx(np.array([[0, 1 / 3], [1 / 3, 0]]))
    assert found.double_fault == pytest.approx(np.array([[1 / 3, 1 / 6], [1 / 6, 1 / 3]]))
    # Of six rows both are right about three, none about one, and each alone about one.
    assert found.q_statistic == pytest.approx(np.array([[1, 0.5], [0.5, 1]]))
    # The errors' products: rows 0 to 2 and 5 alike, 3 and 4 0.25 * 0.75 instead of a square, times 2 classes.
    assert found.error_correlation[0, 1] == pytest.approx(
        (3 * 0.0625 + 0.5625 + 2 * 0.1875) / (4 * 0.0625 + 2 * 0.5625)
    )


def test_two_members_together_are_never_worse_than_one() -> None:
    together = pairs(class_sample(1)).loss_together
    assert (together <= np.minimum.outer(np.diag(together), np.diag(together)) + 1e-9).all()
    assert (together == together.T).all()


def test_a_row_that_no_member_of_a_pair_holds_possible_makes_it_infinitely_bad() -> None:
    found = pairs(Sample.of(predictions([0, 1], a=[(0, 1), (0, 1)], b=[(0, 1), (0.5, 0.5)], c=[YES, NO])))
    assert found.loss_together[0, 1] == np.inf
    assert np.isfinite(found.loss_together[0, 2])
    # c is right about every row: there is nothing to tell whether a is right about the same.
    assert np.isnan(found.q_statistic[0, 2])


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_the_ensemble_s_loss_is_the_members_less_the_ambiguity(seed: int) -> None:
    sample, weights = class_sample(seed), random_weights(seed, 3)
    given = np.stack([np.asarray(scores[:], np.float64) for scores in sample.predictions.scores])
    truth = np.eye(sample.classes)[sample.labels]
    squared = squared_decomposition(sample, weights)
    average = np.tensordot(weights, given, 1)
    assert squared.ensemble == pytest.approx(((average - truth) ** 2).sum(axis=1).mean())
    assert squared.ambiguity >= 0
    logs = log_decomposition(sample, weights)
    mean = np.exp(np.tensordot(weights, np.log(given), 1))
    mean /= mean.sum(axis=1, keepdims=True)
    assert logs.ensemble == pytest.approx(-np.log((mean * truth).sum(axis=1)).mean(), abs=1e-6)
    assert logs.ambiguity >= -1e-6


def test_a_member_is_worth_what_its_absence_costs() -> None:
    sample = class_sample(2).only([0, 1, 1])
    names = dict(zip(("first", "second", "copy"), (0, 1, 2), strict=True))
    sample = Sample.of(
        predictions(
            sample.labels.tolist(),
            **{name: sample.predictions.scores[place][:].tolist() for name, place in names.items()},
        )
    )
    worth = value_of_each(sample, np.full(3, 1 / 3))
    for name in ("second", "copy"):
        assert worth[name].rises == pytest.approx(0, abs=1e-9)
        # The other copy has all the weight that this one could have: the slope is flat.
        assert worth[name].first_order == pytest.approx(0, abs=1e-6)
    assert worth["first"].first_order > worth["first"].rises > 1e-4
    assert value_of_each(sample.only([0]), np.ones(1)) == {"first": Worth(np.inf, np.inf)}
