import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.errors import InvalidModelError
from ensemble.member import Rows
from ensemble.pooling.linear import LinearPool
from ensemble.servable import Servable
from ensemble.weights import Weights
from tests.support.members import Constant, Failing, SoftmaxLinear, servable, signature_of

ROWS: Rows = {"x": np.array([[1, 2], [3, 4]], dtype=np.float32)}


def test_weights_of_other_members_are_refused() -> None:
    weights = Weights({"b": 1.0})
    with pytest.raises(InvalidModelError, match=r"weights name \['b'\]; the members are \['a'\]"):
        Servable("digits", 1, signature_of(), ("0", "1", "2"), (Constant("a"),), weights, LinearPool(weights))


def test_members_that_weigh_nothing_are_not_asked() -> None:
    model = servable(Constant("a"), Failing("b"), weights={"a": 1.0, "b": 0.0})
    assert [member.name for member in model.voters] == ["a"]
    assert [member.name for member in model.silent] == ["b"]
    assert model.score(ROWS).tolist() == [[0.5, 0.25, 0.25]] * 2


def test_a_member_alone_is_a_servable_that_answers_as_the_member_does() -> None:
    member = SoftmaxLinear("b")
    alone = servable(Constant("a"), member, version=7).alone(member)
    assert (alone.name, alone.version, alone.weights.by_member) == ("digits.b", 7, {"b": 1.0})
    np.testing.assert_array_equal(alone.score(ROWS), member.predict(ROWS))


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 9))
def test_scores_are_the_weighted_sum_in_float64_whatever_the_members_order(
    seed: int, members: int, rows: int
) -> None:
    rng = np.random.default_rng(seed)
    parts = [
        SoftmaxLinear(f"m{index}", tuple(map(tuple, rng.normal(size=(2, 3)).tolist())))
        for index in range(members)
    ]
    weights = dict(zip((part.name for part in parts), rng.dirichlet(np.ones(members)), strict=True))
    given_rows: Rows = {"x": rng.normal(size=(rows, 2)).astype(np.float32)}

    reference = sum(weights[part.name] * part.predict(given_rows).astype(np.float64) for part in parts)
    scores = servable(*parts, weights=weights).score(given_rows)
    backwards = servable(*reversed(parts), weights=weights).score(given_rows)

    np.testing.assert_allclose(scores, reference, rtol=0, atol=6e-8)
    np.testing.assert_array_equal(scores, backwards)
