from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.member import Scores
from ensemble.pooling.disagreement import disagreement, entropy
from ensemble.pooling.linear import LinearPool
from ensemble.pooling.log import LogPool
from ensemble.weights import Weights


def scores_of(seed: int, members: int, classes: int = 4) -> tuple[dict[str, Scores], dict[str, float]]:
    random = np.random.default_rng(seed)
    scores = random.dirichlet(np.ones(classes), (members, 5)).astype(np.float32)
    names = [f"m{index}" for index in range(members)]
    weights = dict(zip(names, random.dirichlet(np.ones(members)).tolist(), strict=True))
    return dict(zip(names, scores, strict=True)), weights


def test_entropy_is_that_of_the_formula_and_zero_for_certainty() -> None:
    found = entropy(np.array([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]], np.float32))
    np.testing.assert_allclose(found, [log(2), 0])


def test_two_members_sure_of_different_classes_disagree_by_the_entropy_of_their_weights() -> None:
    by_member = {"a": np.array([[1.0, 0.0]], np.float32), "b": np.array([[0.0, 1.0]], np.float32)}
    expected = -(0.25 * log(0.25) + 0.75 * log(0.75))
    assert disagreement(by_member, {"a": 0.25, "b": 0.75}).item() == pytest.approx(expected)


def test_members_that_weigh_nothing_have_no_say() -> None:
    by_member, _ = scores_of(1, 2)
    assert disagreement(by_member, {"m0": 1.0, "m1": 0.0}).tolist() == [0.0] * 5
    assert disagreement({"m0": by_member["m0"]}, {"m0": 1.0, "m1": 0.0}).tolist() == [0.0] * 5


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_it_is_the_weighted_mean_divergence_from_the_average(seed: int, members: int) -> None:
    by_member, weights = scores_of(seed, members)
    average = sum(weight * by_member[name].astype(np.float64) for name, weight in weights.items())
    divergences = [
        weight * (by_member[name] * np.log(by_member[name] / average)).sum(axis=1)
        for name, weight in weights.items()
    ]
    found = disagreement(by_member, weights)
    np.testing.assert_allclose(found, sum(divergences), atol=1e-5)
    assert (found >= 0).all()
    assert (found <= log(4) + 1e-6).all()


@given(st.integers(0, 10_000))
def test_where_the_average_is_served_it_is_the_part_of_its_entropy_between_members(seed: int) -> None:
    by_member, weights = scores_of(seed, 3)
    served = LinearPool(Weights(weights)).exact(by_member)
    within = sum(weight * entropy(by_member[name]) for name, weight in weights.items())
    np.testing.assert_allclose(disagreement(by_member, weights), entropy(served) - within, atol=1e-6)


def test_a_sharp_pool_hides_no_disagreement() -> None:
    by_member, weights = scores_of(3, 3)
    sharp = LogPool(Weights(weights), temperature=0.05).exact(by_member)
    # The served entropy less that within members would be below zero: no measure of anything.
    within = sum(weight * entropy(by_member[name]) for name, weight in weights.items())
    assert (entropy(sharp) - within < 0).all()
    assert (disagreement(by_member, weights) > 0.01).all()
