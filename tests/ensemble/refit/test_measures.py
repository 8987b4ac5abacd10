import numpy as np
import pytest
from hypothesis import given
from sklearn.metrics import f1_score, roc_auc_score

from ensemble.refit.measures import MEASURES
from ensemble.refit.objective import Matrix

from .problems import class_sample, seeds

accuracy, macro_f1, area_under_roc = (MEASURES[name] for name in ("accuracy", "f1", "auc"))


def problem(seed: int) -> tuple[Matrix, np.ndarray]:
    sample = class_sample(seed, rows=90)
    return np.stack([scores[:] for scores in sample.predictions.scores]).astype(np.float64), sample.labels


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
    for measure in (accuracy, macro_f1, area_under_roc):
        assert measure(pooled, labels, times.astype(float)) == pytest.approx(
            measure(pooled[again], labels[again], np.ones(len(again)))
        )


def test_one_class_alone_has_no_area() -> None:
    assert np.isnan(area_under_roc(np.full((3, 2), 0.5), np.zeros(3, np.int64), np.ones(3)))


@pytest.mark.parametrize("name", MEASURES)
@given(seed=seeds)
def test_what_a_row_adds_is_the_measure_and_its_slope_in_the_row_s_weight(name: str, seed: int) -> None:
    scores, labels = problem(seed)
    pooled, measure = scores.mean(axis=0), MEASURES[name]
    weights = np.random.default_rng(seed).uniform(0.5, 2, size=90)
    parts = measure.parts(pooled, labels, weights)
    assert parts is not None
    whole = measure(pooled, labels, weights)
    step = 1e-5 * weights.sum()
    for row in (0, 17, 89):
        more, less = weights.copy(), weights.copy()
        more[row], less[row] = more[row] + step, less[row] - step
        slope = (measure(pooled, labels, more) - measure(pooled, labels, less)) / 2e-5
        # The area's shares of classes move with the weights too; that part is left out.
        if name != "auc":
            assert parts[row] - whole == pytest.approx(slope, abs=1e-4)


def test_the_area_s_error_is_delong_s() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1, 1])
    score = np.array([0.1, 0.4, 0.6, 0.3, 0.5, 0.8, 0.9])
    parts = area_under_roc.parts(np.stack([1 - score, score], axis=1), labels, np.ones(7))
    assert parts is not None
    above = (score[3:, None] > score[:3]).astype(float)
    of_ones, of_zeros = above.mean(axis=1), above.mean(axis=0)
    expected = of_ones.var() / 4 + of_zeros.var() / 3
    assert parts.var() / 7 == pytest.approx(expected)
    assert parts.mean() == pytest.approx(above.mean())
