"""Batches that are filled up to one of a few sizes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.member import Rows, row_count
from ensemble.padding import cut, joined, padded_size


def rows(*values: float) -> Rows:
    return {"x": np.array([[value] for value in values], np.float32), "n": np.arange(len(values))}


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (2, 4), (4, 4), (5, 16), (16, 16), (17, 17)])
def test_rows_go_up_to_the_next_size(count: int, expected: int) -> None:
    assert padded_size(count, (1, 4, 16)) == expected
    assert padded_size(count, ()) == count


def test_a_lone_request_of_an_allowed_size_is_not_copied() -> None:
    alone = rows(1, 2, 3, 4)

    assert joined([alone]) is alone
    assert joined([alone], (1, 4)) is alone


def test_what_fills_a_batch_up_is_its_last_row() -> None:
    made = joined([rows(1, 2), rows(3)], (1, 4, 16))

    assert made["x"].tolist() == [[1], [2], [3], [3]]
    assert made["n"].tolist() == [0, 1, 0, 0]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.sampled_from([(), (8,), (1, 4, 16, 64)]))
def test_every_row_is_at_its_place_whatever_fills_the_batch_up(
    counts: list[int], sizes: tuple[int, ...]
) -> None:
    values = iter(range(100))
    requests = [rows(*(next(values) for _ in range(count))) for count in counts]

    made = joined(requests, sizes)

    assert row_count(made) == padded_size(sum(counts), sizes)
    assert made["x"][: sum(counts), 0].tolist() == list(range(sum(counts)))


def test_a_cut_shares_its_bytes() -> None:
    whole = rows(1, 2, 3)

    part = cut(whole, slice(1, 3))

    assert part["x"].tolist() == [[2], [3]]
    assert np.shares_memory(part["x"], whole["x"])
