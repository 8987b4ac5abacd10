"""What every pool keeps: bits whatever the batch, order of rows, probabilities, silent members unasked."""

from collections.abc import Callable, Mapping
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.errors import InvalidModelError
from ensemble.member import Scores
from ensemble.pooling.forms import FORMS, pool_of
from ensemble.pooling.linear import LinearPool
from ensemble.pooling.log import LogPool
from ensemble.pooling.pool import Pool
from ensemble.weights import Weights

Make = Callable[[Weights], Pool]

POOLS: dict[str, Make] = {
    "linear": LinearPool,
    "linear, sharpened": lambda weights: LinearPool(weights, 0.6),
    "linear, softened": lambda weights: LinearPool(weights, 2.5),
    "log": LogPool,
    "log, sharpened": lambda weights: LogPool(weights, 0.3),
    "log, softened": lambda weights: LogPool(weights, 4.0),
    "log, from a high floor": lambda weights: LogPool(weights, 0.5, 0.01),
}
every_pool = pytest.mark.parametrize("make", POOLS.values(), ids=POOLS.keys())
ROWS = 131


def scores_of(seed: int, rows: int = ROWS, classes: int = 10, members: int = 5) -> dict[str, Scores]:
    """Probabilities, some of them zero, as float32 softmax and trees give them."""
    random = np.random.default_rng(seed)
    found = {}
    for member in range(members):
        odds = np.exp(random.normal(size=(rows, classes)) * 4)
        odds[random.random(size=odds.shape) < 0.1] = 0
        odds[:, 0] += 1e-3
        found[f"m{member}"] = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


def weights_of(seed: int, members: int = 5) -> Weights:
    """Weights of which one is zero, wherever there are two."""
    drawn = np.random.default_rng(seed + 1).dirichlet(np.ones(members))
    drawn[-1] = 0 if members > 1 else 1
    return Weights({f"m{index}": float(weight / drawn.sum()) for index, weight in enumerate(drawn)})


def part(scores: Mapping[str, Scores], rows: slice) -> dict[str, Scores]:
    return {name: score[rows] for name, score in scores.items()}


@every_pool
@pytest.mark.parametrize("classes", [1, 2, 3, 8, 9, 10, 17, 128, 1000])
def test_the_bits_of_a_row_do_not_depend_on_its_batch(make: Make, classes: int) -> None:
    scores, pool = scores_of(0, classes=classes), make(weights_of(0))
    together = pool(scores).view(np.uint32)
    for size in (1, 2, 3, 7, 8, 15, 16, 17, 64, 100, ROWS):
        for start in {0, 1, (ROWS - size) // 2, ROWS - size}:
            rows = slice(start, min(start + size, ROWS))
            assert (pool(part(scores, rows)).view(np.uint32) == together[rows]).all()


@every_pool
def test_the_bits_do_not_depend_on_how_the_scores_lie_in_memory(make: Make) -> None:
    scores, pool = scores_of(1), make(weights_of(1))
    by_column = {name: np.asfortranarray(score) for name, score in scores.items()}
    strided = {name: np.repeat(score, 2, axis=0)[::2] for name, score in scores.items()}
    assert pool(by_column).tobytes() == pool(strided).tobytes() == pool(scores).tobytes()


@every_pool
@given(seed=st.integers(0, 10_000), classes=st.integers(1, 12), members=st.integers(1, 6))
def test_probabilities_in_probabilities_out(make: Make, seed: int, classes: int, members: int) -> None:
    pooled = make(weights_of(seed, members))(scores_of(seed, 7, classes, members))
    assert pooled.dtype == np.float32
    assert pooled.shape == (7, classes)
    assert (pooled >= 0).all()
    np.testing.assert_allclose(pooled.sum(axis=1), 1, atol=2e-6)


@every_pool
@given(seed=st.integers(0, 10_000))
def test_what_is_served_is_the_exact_pool_rounded_once(make: Make, seed: int) -> None:
    scores, pool = scores_of(seed, 5), make(weights_of(seed))
    assert pool.exact(scores).dtype == np.float64
    assert pool(scores).tobytes() == pool.exact(scores).astype(np.float32).tobytes()


@every_pool
def test_a_member_that_weighs_nothing_need_not_be_asked(make: Make) -> None:
    scores, pool = scores_of(2), make(weights_of(2))
    assert pool.weights.by_member["m4"] == 0
    without = {name: score for name, score in scores.items() if name != "m4"}
    assert pool(without).tobytes() == pool(scores).tobytes()


@every_pool
def test_members_may_come_in_any_order(make: Make) -> None:
    scores, weights = scores_of(3), weights_of(3)
    backwards = Weights(dict(reversed(list(weights.by_member.items()))))
    np.testing.assert_allclose(make(backwards).exact(scores), make(weights).exact(scores), rtol=1e-12)


@every_pool
def test_members_that_agree_are_all_that_counts_at_a_temperature_of_one(make: Make) -> None:
    same = scores_of(4, members=1)["m0"]
    pool = make(Weights.uniform(["m0", "m1", "m2"]))
    pooled = pool.exact({"m0": same, "m1": same, "m2": same})
    temperature = float(pool.to_json().get("temperature", 1.0))
    floor = pool.to_json().get("floor", 0.0)
    odds = np.maximum(same.astype(np.float64), floor) ** (1 / temperature)
    expected = odds / odds.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(pooled, expected, atol=1e-5)


@every_pool
def test_a_pool_is_read_from_what_it_writes(make: Make) -> None:
    scores, pool = scores_of(5), make(weights_of(5))
    again = pool_of(pool.to_json(), pool.weights)
    assert again == pool
    assert again(scores).tobytes() == pool(scores).tobytes()


def test_every_form_is_in_this_suite() -> None:
    assert {make(weights_of(0)).to_json()["form"] for make in POOLS.values()} == set(FORMS)


def test_the_linear_pool_is_the_weighted_average() -> None:
    pool = LinearPool(Weights({"a": 0.25, "b": 0.75}))
    scores = {"a": np.array([[1.0, 0.0]], np.float32), "b": np.array([[0.5, 0.5]], np.float32)}
    assert pool(scores).tolist() == [[0.625, 0.375]]


def test_a_temperature_below_one_sharpens_the_average() -> None:
    pool = LinearPool(Weights({"a": 1.0}), 0.5)
    # 0.8 squared and 0.2 squared, over their sum.
    np.testing.assert_allclose(pool.exact({"a": np.array([[0.8, 0.2]], np.float64)}), [[16 / 17, 1 / 17]])


def test_the_log_pool_is_the_weighted_geometric_mean() -> None:
    pool = LogPool(Weights({"a": 0.5, "b": 0.5}))
    scores = {"a": np.array([[0.5, 0.5]], np.float32), "b": np.array([[0.9, 0.1]], np.float32)}
    # The square roots of 0.45 and 0.05 are as 3 to 1.
    np.testing.assert_allclose(pool.exact(scores), [[0.75, 0.25]], atol=1e-7)


def test_a_zero_is_no_veto_in_a_log_pool() -> None:
    pool = LogPool(Weights({"a": 0.5, "b": 0.5}))
    scores = {"a": np.array([[1.0, 0.0]], np.float32), "b": np.array([[0.0, 1.0]], np.float32)}
    assert pool(scores).tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("form", sorted(FORMS))
def test_a_temperature_that_is_none_is_refused(form: str, temperature: float) -> None:
    with pytest.raises(InvalidModelError, match="temperature must be finite and > 0"):
        pool_of({"form": form, "temperature": temperature}, weights_of(0))


@pytest.mark.parametrize("floor", [0.0, -0.1, 1.0, float("nan")])
@pytest.mark.parametrize("form", sorted(FORMS))
def test_a_floor_that_is_none_is_refused(form: str, floor: float) -> None:
    with pytest.raises(InvalidModelError, match="floor must be above 0 and below 1"):
        pool_of({"form": form, "floor": floor}, weights_of(0))


@pytest.mark.parametrize("temperature", ["warm", None, True])
def test_a_temperature_that_is_no_number_is_refused(temperature: object) -> None:
    with pytest.raises(InvalidModelError, match="temperature must be a number"):
        pool_of({"form": "linear", "temperature": temperature}, weights_of(0))


def test_a_parameter_of_a_later_release_is_refused() -> None:
    with pytest.raises(InvalidModelError, match=r"parameters \['bias'\], which this release doesn't know"):
        pool_of({"form": "log", "bias": [0.0]}, weights_of(0))


def test_a_log_pool_without_a_temperature_has_one_of_one() -> None:
    assert pool_of({"form": "log"}, weights_of(0)) == LogPool(weights_of(0))
    assert log(LogPool(weights_of(0)).temperature) == 0
