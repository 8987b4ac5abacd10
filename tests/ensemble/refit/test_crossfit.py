import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.refit.blend import Blend
from ensemble.refit.crossfit import (
    capped_losses,
    folds_of,
    held_out_losses,
    judged_rows,
    splits_of,
)
from ensemble.refit.sample import Sample

from .problems import sample_of


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
    scores = np.arange(1.0, 11.0).reshape(10, 1) / 10
    sample = sample_of(scores)
    splits = splits_of(sample, 5)
    seen: list[set[int]] = []

    def fit(rows: Sample) -> dict[str, Blend]:
        seen.append(set(rows.place.tolist()))
        return {"one": Blend.alone(0, 1)}

    losses = held_out_losses(sample, splits, fit)["one"]
    assert len(splits) == 5
    for split, rows in zip(splits, seen, strict=True):
        assert rows == set(split.fitted.tolist())
        assert rows.isdisjoint(split.judged.tolist())
        assert rows | set(split.judged.tolist()) == set(range(10))
    np.testing.assert_allclose(losses, -np.log(scores[:, 0]), rtol=1e-6)


@given(st.lists(st.integers(0, 12), min_size=2, max_size=80), st.integers(2, 6), st.integers(0, 99))
def test_rows_of_one_group_are_never_fitted_and_judged_by_one_split(
    groups: list[int], count: int, seed: int
) -> None:
    sample = sample_of(np.ones((len(groups), 1)), groups=groups)
    splits = splits_of(sample, count, seed)
    assert len(splits) == (min(count, len(set(groups))) if len(set(groups)) > 1 else 0)
    for split in splits:
        assert {groups[row] for row in split.fitted}.isdisjoint({groups[row] for row in split.judged})
    if splits:
        assert judged_rows(splits).tolist() == list(range(len(groups)))


def test_groups_are_spread_over_folds_of_like_size() -> None:
    groups = [0] * 50 + [1] * 30 + [2] * 20 + [3] * 10 + [4] * 10
    sizes = sorted(len(split.judged) for split in splits_of(sample_of(np.ones((120, 1)), groups=groups), 3))
    assert sizes == [30, 40, 50]


@given(st.lists(st.integers(0, 30), min_size=2, max_size=80), st.integers(2, 6))
def test_rows_in_time_are_judged_by_what_came_before_them(times: list[int], count: int) -> None:
    splits = splits_of(sample_of(np.ones((len(times), 1)), groups=times, in_time=True), count)
    assert bool(splits) == (len(set(times)) > 1)
    for split in splits:
        assert max(times[row] for row in split.fitted) < min(times[row] for row in split.judged)
    if splits:
        first = min(times[row] for split in splits for row in split.judged)
        assert judged_rows(splits).tolist() == [row for row, time in enumerate(times) if time >= first]


def test_rows_that_nothing_judges_have_no_loss() -> None:
    sample = sample_of(np.full((4, 1), 0.5), groups=[3, 1, 2, 0], in_time=True)
    losses = held_out_losses(sample, splits_of(sample, 3), lambda _: {"one": Blend.alone(0, 1)})["one"]
    assert np.isnan(losses).tolist() == [False, False, False, True]


def test_an_impossible_row_counts_for_no_more_than_the_cap() -> None:
    losses = capped_losses(sample_of(np.array([[0.0, 1.0], [0.5, 0.5]])), Blend(np.array([1.0, 0.0])))
    assert losses.tolist() == [27.6, pytest.approx(math.log(2))]
