import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.errors import InvalidWeightsError
from ensemble.weights import Weights


def test_uniform_weights_weigh_every_member_alike() -> None:
    assert Weights.uniform(["b", "a"]).by_member == {"a": 0.5, "b": 0.5}


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"a": -0.5, "b": 1.5}, r"weights must be finite and >= 0; got \{'a': -0.5\}"),
        ({"a": math.nan}, r"weights must be finite and >= 0; got \{'a': nan\}"),
        ({"a": math.inf}, r"weights must be finite and >= 0; got \{'a': inf\}"),
        ({"a": 0.5, "b": 0.25}, r"weights must sum to 1; these 2 sum to 0.75"),
        ({}, r"weights must sum to 1; these 0 sum to 0.0"),
    ],
)
def test_what_is_off_the_simplex_is_refused(weights: dict[str, float], said: str) -> None:
    with pytest.raises(InvalidWeightsError, match=said):
        Weights(weights)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50).filter(lambda parts: sum(parts) > 1e-3))
def test_normalised_parts_are_weights_however_many_they_are(parts: list[float]) -> None:
    total = math.fsum(parts)
    weights = Weights({str(index): part / total for index, part in enumerate(parts)})
    assert math.fsum(weights.by_member.values()) == pytest.approx(1, abs=1e-9)
