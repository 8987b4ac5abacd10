import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.truth import Truth
from server.engine.agreement import Agreement, agreement

LOG_2 = 0.6931471805599453


def test_a_member_that_says_what_the_ensemble_says_agrees_fully() -> None:
    scores = np.array([[0.7, 0.3], [0.1, 0.9]], dtype=np.float32)
    assert agreement({"a": scores}, scores) == {"a": Agreement(2, 2, 0.0)}


def test_opposite_certainties_are_log_two_apart() -> None:
    left = np.array([[1.0, 0.0]], dtype=np.float32)
    right = np.array([[0.0, 1.0]], dtype=np.float32)
    told = agreement({"a": left}, right)["a"]
    assert (told.rows, told.same_top_class) == (1, 0)
    assert told.divergence_sum == pytest.approx(LOG_2)


def test_the_divergence_is_the_textbook_one() -> None:
    p, q = np.array([[0.8, 0.2]]), np.array([[0.6, 0.4]])
    middle = [0.7, 0.3]
    expected = sum(
        0.5 * p_c * np.log(p_c / m_c) + 0.5 * q_c * np.log(q_c / m_c)
        for p_c, q_c, m_c in zip(p[0], q[0], middle, strict=True)
    )
    told = agreement({"a": p.astype(np.float32)}, q.astype(np.float32))["a"]
    assert told.divergence_sum == pytest.approx(expected, abs=1e-7)


@given(st.integers(0, 10_000), st.integers(1, 20), st.integers(2, 6))
def test_the_divergence_lies_between_zero_and_log_two_a_row(seed: int, rows: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    p, q = rng.dirichlet(np.full(classes, 0.2), size=(2, rows)).astype(np.float32)
    told = agreement({"a": p}, q)["a"]
    assert 0 <= told.divergence_sum <= rows * LOG_2 + 1e-6
    assert 0 <= told.same_top_class <= rows


def test_of_labels_each_is_compared_by_itself() -> None:
    member = np.array([[0.9, 0.1], [0.5, 0.75]], np.float32)
    ensemble = np.array([[0.75, 0.25], [0.5, 0.25]], np.float32)
    told = agreement({"a": member}, ensemble, Truth.LABELS)["a"]
    assert (told.rows, told.same_top_class, told.distance_sum) == (2, 1, None)

    def divergence(p: float, q: float) -> float:
        def bits(x: float) -> float:
            return -x * math.log(x) - (1 - x) * math.log(1 - x)

        return bits((p + q) / 2) - (bits(p) + bits(q)) / 2

    expected = divergence(0.9, 0.75) + divergence(0.1, 0.25) + divergence(0.75, 0.25)
    assert told.divergence_sum == pytest.approx(expected, abs=1e-7)


def test_of_values_only_their_distance_is_told() -> None:
    member, ensemble = np.array([[1.0], [-3.0]], np.float32), np.array([[1.5], [-1.0]], np.float32)
    assert agreement({"a": member}, ensemble, Truth.VALUES) == {"a": Agreement(2, 0, 0.0, distance_sum=2.5)}
