import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from ensemble.errors import InvalidDataError
from ensemble.refit.multilabel import losses_by_label, shared_loss
from ensemble.refit.solver import solve

from .problems import random_weights, seeds


def problem(seed: int, rows: int = 50, labels: int = 3) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    random = np.random.default_rng(seed)
    truth = random.random(size=(rows, labels)) < 0.4
    odds = (truth * 2 - 1) * random.uniform(0.2, 2, size=(4, 1, 1)) + random.normal(size=(4, rows, labels))
    return 1 / (1 + np.exp(-odds)), truth


@given(seeds)
def test_the_loss_is_the_mean_over_all_answers(seed: int) -> None:
    (scores, truth), weights = problem(seed), random_weights(seed, 4)
    pooled = np.tensordot(weights, scores, axes=1)
    assert shared_loss(scores, truth).value(weights) == pytest.approx(log_loss(truth.ravel(), pooled.ravel()))
    alone = [loss.value(weights) for loss in losses_by_label(scores, truth)]
    assert alone == pytest.approx([log_loss(truth[:, label], pooled[:, label]) for label in range(3)])
    assert shared_loss(scores, truth).value(weights) == pytest.approx(np.mean(alone))


@given(seeds)
def test_weights_of_its_own_serve_each_label_no_worse_than_shared_ones(seed: int) -> None:
    scores, truth = problem(seed)
    start = np.full(4, 0.25)
    shared = solve(shared_loss(scores, truth), start)
    own = [solve(loss, start) for loss in losses_by_label(scores, truth)]
    assert shared.converged
    assert all(solution.converged for solution in own)
    assert np.mean([solution.loss for solution in own]) <= shared.loss + 1e-9


@given(seeds)
def test_row_weights_count_like_repeated_rows(seed: int) -> None:
    (scores, truth), weights = problem(seed), random_weights(seed, 4)
    times = np.random.default_rng(seed).integers(1, 3, size=50)
    repeated = shared_loss(np.repeat(scores, times, axis=1), np.repeat(truth, times, axis=0))
    assert shared_loss(scores, truth, times.astype(float)).value(weights) == pytest.approx(
        repeated.value(weights)
    )


def test_scores_and_truth_that_do_not_fit_are_refused() -> None:
    scores, truth = problem(0)
    with pytest.raises(InvalidDataError, match="don't go with"):
        shared_loss(scores, truth[:, :2])
    with pytest.raises(InvalidDataError, match="yes or no"):
        shared_loss(scores, truth.astype(np.int64))
    with pytest.raises(InvalidDataError, match="from 0 to 1"):
        shared_loss(scores * np.nan, truth)
