import numpy as np
import pytest
from hypothesis import given
from sklearn.metrics import f1_score, roc_auc_score

from ensemble.refit.greedy import MEASURES, accuracy, area_under_roc, climb, macro_f1
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
    found = climb(scores, labels, accuracy, np.array([0.1, 0.9]))
    # From 0.1 it takes three picks of twenty until the average is right.
    assert found.tolist() == pytest.approx([5 / 23, 18 / 23])
    assert accuracy(np.tensordot(found, scores, axes=1), labels, np.ones(4)) == 1


def test_weights_that_cannot_be_bettered_stay() -> None:
    labels = np.array([0, 1, 1])
    perfect = np.eye(2)[labels]
    start = np.array([0.25, 0.75])
    assert climb(np.stack([perfect, perfect]), labels, accuracy, start).tolist() == start.tolist()


@given(seeds)
def test_the_measures_are_scikit_learns(seed: int) -> None:
    scores, labels = problem(seed)
    pooled, ones = scores.mean(axis=0), np.ones(90)
    given = pooled.argmax(axis=1)
    assert accuracy(pooled, labels, ones) == pytest.approx((given == labels).mean())
    assert macro_f1(pooled, labels, ones) == pytest.approx(f1_score(labels, given, average="macro"))
    two = (labels > 1).astype(np.int64)
    binary = np.stack([1 - pooled[:, 2], pooled[:, 2]], axis=1)
    assert area_under_roc(binary, two, ones) == pytest.approx(roc_auc_score(two, binary[:, 1]))
    many = roc_auc_score(
        labels, pooled / pooled.sum(axis=1, keepdims=True), multi_class="ovr", average="weighted"
    )
    assert area_under_roc(pooled, labels, ones) == pytest.approx(many)


@given(seeds)
def test_row_weights_count_like_repeated_rows(seed: int) -> None:
    scores, labels = problem(seed)
    times = np.random.default_rng(seed).integers(0, 3, size=90)
    pooled, again = scores.mean(axis=0), np.repeat(np.arange(90), times)
    for measure in (accuracy, macro_f1):
        assert measure(pooled, labels, times.astype(float)) == pytest.approx(
            measure(pooled[again], labels[again], np.ones(len(again)))
        )


def test_one_class_alone_has_no_area() -> None:
    assert np.isnan(area_under_roc(np.full((3, 2), 0.5), np.zeros(3, np.int64), np.ones(3)))
