from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.errors import InvalidDataError, InvalidRequestError
from ensemble.refit.blend import Blend
from ensemble.refit.row_columns import RowColumns
from ensemble.refit.sample import Sample, mean_and_error

from .problems import class_sample, sample_of, seeds

values = st.lists(st.floats(-5, 5), min_size=2, max_size=40)


@given(values)
def test_the_error_of_a_plain_mean_is_the_textbooks(numbers: list[float]) -> None:
    found = np.array(numbers)
    mean, error = mean_and_error(found)
    assert mean == pytest.approx(found.mean(), abs=1e-12)
    assert error == pytest.approx(found.std(ddof=1) / np.sqrt(len(found)), abs=1e-12)


@given(values)
def test_every_row_its_own_cluster_is_no_clusters(numbers: list[float]) -> None:
    found = np.array(numbers)
    assert mean_and_error(found, clusters=np.arange(len(found))) == pytest.approx(mean_and_error(found))


def test_copies_of_a_row_are_no_more_evidence_than_the_row() -> None:
    found = np.array([1.0, 2.0, 4.0])
    copied, clusters = np.repeat(found, 5), np.repeat(np.arange(3), 5)
    assert mean_and_error(copied, clusters=clusters) == pytest.approx(mean_and_error(found))
    assert mean_and_error(copied)[1] < mean_and_error(found)[1]


def test_weights_scale_out_and_zeros_drop_out_of_the_mean() -> None:
    found = np.array([1.0, 3.0, 100.0])
    assert mean_and_error(found, np.array([1.0, 1.0, 0.0]))[0] == 2
    assert mean_and_error(found, np.array([5.0, 5.0, 1.0])) == pytest.approx(
        mean_and_error(found, np.array([1.0, 1.0, 0.2]))
    )


def test_one_value_or_one_cluster_has_no_error() -> None:
    assert np.isnan(mean_and_error(np.array([1.0]))[1])
    assert np.isnan(mean_and_error(np.array([1.0, 2.0]), clusters=np.array([7, 7]))[1])


def test_rows_in_time_count_as_forty_runs() -> None:
    clusters = sample_of(np.ones((400, 1)), groups=list(range(400)), in_time=True).clusters
    assert clusters is not None
    assert np.bincount(clusters).tolist() == [10] * 40
    assert (np.diff(clusters) >= 0).all()


@given(seeds)
def test_a_blend_gives_the_true_class_what_its_pool_serves(seed: int) -> None:
    sample = class_sample(seed, rows=50).take(np.array([3, 1, 40, 40]))
    for blend in (Blend.uniform(3), Blend(np.array([0.5, 0.0, 0.5]), "log", 0.5), Blend.alone(2, 3)):
        scores = {
            name: each[sample.place]
            for name, each in zip(sample.predictions.members, sample.predictions.scores, strict=True)
        }
        served = blend.pool(sample.predictions.members)(scores)
        np.testing.assert_allclose(
            sample.true_class_scores(blend), served[np.arange(4), sample.labels], rtol=1e-6
        )


def test_a_sample_of_some_members_is_as_if_there_were_no_others() -> None:
    sample = class_sample(0).only([2, 0])
    assert sample.predictions.members == ("m2", "m0")
    assert sample.true_class.tolist() == sample.predictions.true_class_scores().tolist()


def test_thinning_takes_rows_evenly() -> None:
    assert class_sample(0, rows=10).thinned(4).place.tolist() == [0, 3, 6, 9]


def with_columns(**columns: list[object]) -> Sample:
    sample = class_sample(0, rows=4)
    kept = {name: np.array(column) for name, column in columns.items()}
    return replace(sample, predictions=replace(sample.predictions, kept=kept))


def test_columns_say_what_counts_and_what_belongs_together() -> None:
    predictions = with_columns(w=[1, 0, 2, 1], who=["b", "a", "b", "c"], day=[30, 10, 20, 20]).predictions
    by_group = RowColumns(weight="w", group="who").sample(predictions)
    assert by_group.weights is not None
    assert by_group.weights.tolist() == [1, 0, 2, 1]
    assert by_group.clusters is not None
    assert by_group.clusters.tolist() == [1, 0, 1, 2]
    by_time = RowColumns(time="day").sample(predictions)
    assert by_time.in_time
    assert by_time.groups is not None
    assert by_time.groups.tolist() == [2, 0, 1, 1]


def test_each_value_of_a_column_is_a_slice() -> None:
    sample = with_columns(site=["x", "y", "x", "x"], odd=[0, 1, 0, 1])
    slices = RowColumns(slices=("site", "odd")).slices_of(sample)
    assert {name: inside.tolist() for name, inside in slices.items()} == {
        "site=x": [True, False, True, True],
        "site=y": [False, True, False, False],
        "odd=0": [True, False, True, False],
        "odd=1": [False, True, False, True],
    }


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([1, -1, 1, 1], "row 1 of column 'w' has -1"),
        ([1, 1, float("nan"), 1], "row 2 of column 'w' has nan"),
        ([0, 0, 0, 0], "all sample weights of column 'w' are zero"),
        (["a", "b", "c", "d"], "sample weights are numbers; column 'w' holds"),
        ([[1, 2]] * 4, "one a row is needed"),
    ],
)
def test_weights_that_are_none_are_refused(column: list[object], said: str) -> None:
    with pytest.raises(InvalidDataError, match=said):
        RowColumns(weight="w").sample(with_columns(w=column).predictions)


def test_a_column_that_is_not_there_is_named_beside_those_that_are() -> None:
    with pytest.raises(InvalidDataError, match=r"no column 'who'; it has \['w'\]"):
        RowColumns(group="who").sample(with_columns(w=[1, 1, 1, 1]).predictions)


def test_rows_are_put_together_or_in_order_not_both() -> None:
    with pytest.raises(InvalidRequestError, match="can't be kept together by 'who' and ordered by 'day'"):
        RowColumns(group="who", time="day")


def test_the_rows_of_each_class_are_given_one_class_after_another() -> None:
    sample = class_sample(0, rows=50).take(slice(10, None))
    found = sample.by_class()
    name, inside = next(found)
    assert name == sample.predictions.classes[0]
    assert np.flatnonzero(inside).tolist() == [row for row, label in enumerate(sample.labels) if label == 0]
    rest = dict(found)
    assert list(rest) == list(sample.predictions.classes[1:])
    assert (sum(mask.astype(int) for mask in rest.values()) + inside == 1).all()
