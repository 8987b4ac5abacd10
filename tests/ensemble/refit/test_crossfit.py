import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.refit.crossfit import capped_losses, folds_of, held_out_losses
from ensemble.refit.objective import Matrix, Vector


@given(st.integers(2, 500), st.integers(2, 10))
def test_folds_differ_by_one_row_at_most_and_are_the_same_every_time(rows: int, count: int) -> None:
    folds = folds_of(rows, count)
    sizes = np.bincount(folds)
    assert len(sizes) == min(rows, count)
    assert sizes.max() - sizes.min() <= 1
    assert folds.tolist() == folds_of(rows, count).tolist()


def test_another_seed_makes_other_folds() -> None:
    assert folds_of(100, 5, seed=0).tolist() != folds_of(100, 5, seed=1).tolist()


def test_no_row_is_judged_by_weights_that_saw_it() -> None:
    scores = np.arange(1.0, 11.0).reshape(10, 1)
    folds = folds_of(10, 5)
    seen: list[set[float]] = []

    def fit(rows: Matrix) -> dict[str, Vector]:
        seen.append(set(rows[:, 0].tolist()))
        return {"one": np.array([1.0 / len(seen)])}

    losses = held_out_losses(scores, folds, fit)["one"]
    for fold in range(5):
        inside = folds == fold
        assert seen[fold].isdisjoint(scores[inside, 0].tolist())
        assert seen[fold] | set(scores[inside, 0].tolist()) == set(scores[:, 0].tolist())
        np.testing.assert_allclose(losses[inside], -np.log(scores[inside, 0] / (fold + 1)))


def test_an_impossible_row_counts_for_no_more_than_the_cap() -> None:
    losses = capped_losses(np.array([[0.0, 1.0], [0.5, 0.5]]), np.array([1.0, 0.0]))
    assert losses.tolist() == [27.6, pytest.approx(math.log(2))]
