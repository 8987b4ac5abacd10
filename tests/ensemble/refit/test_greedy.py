import numpy as np
import pytest
from hypothesis import given

from ensemble.refit.greedy import climb
from ensemble.refit.measures import MEASURES
from ensemble.refit.objective import Matrix

from .problems import class_sample, random_weights, seeds


def problem(seed: int) -> tuple[Matrix, np.ndarray]:
    sample = class_sample(seed, rows=90)
    return np.stack([scores[:] for scores in sample.predictions.scores]).astype(np.float64), sample.labels


@pytest.mark.parametrize("name", MEASURES)
@given(seed=seeds)
def test_climbing_ends_no_lower_than_it_starts_and_on_the_simplex(name: str, seed: int) -> None:
    (scores, labels), start, ones = problem(seed), random_weights(seed, 3), np.ones(90)
    found = climb(scores, labels, MEASURES[name], start)
    before, after = (
        MEASURES[name](np.tensordot(weights, scores, axes=1), labels, ones) for weights in (start, found)
    )
    assert after >= before - 1e-12
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(1, abs=1e-12)


def test_a_member_that_is_always_right_is_climbed_to() -> None:
    labels = np.array([0, 1, 0, 1])
    right, wrong = np.eye(2)[labels] * 0.8 + 0.1, np.eye(2)[1 - labels] * 0.2 + 0.4
    scores = np.stack([right, wrong])
    found = climb(scores, labels, MEASURES["accuracy"], np.array([0.1, 0.9]))
    # From 0.1 it takes three picks of twenty until the average is right.
    assert found.tolist() == pytest.approx([5 / 23, 18 / 23])
    assert MEASURES["accuracy"](np.tensordot(found, scores, axes=1), labels, np.ones(4)) == 1


def test_weights_that_cannot_be_bettered_stay() -> None:
    labels = np.array([0, 1, 1])
    perfect = np.eye(2)[labels]
    start = np.array([0.25, 0.75])
    assert climb(np.stack([perfect, perfect]), labels, MEASURES["accuracy"], start).tolist() == start.tolist()
