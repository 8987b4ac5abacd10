from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.decimals import fixed


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (0.0441, 4, "0.0441"),
        (0.061644, 5, "0.06164"),
        (9.99994, 4, "9.9999"),
        (11.25, 4, "11.250"),
        (-93.6526, 4, "-93.653"),
        (3106.4654, 4, "3106.5"),
        (6853.17516, 5, "6853.18"),
        (11955.8956, 4, "11956"),
        (1234567.8, 4, "1234568"),
        (0.0, 4, "0.0000"),
        (inf, 4, "inf"),
    ],
)
def test_small_figures_have_so_many_decimals_and_large_ones_so_many_digits(
    value: float, places: int, text: str
) -> None:
    assert fixed(value, places) == text


def test_a_sign_can_be_asked_for() -> None:
    assert (fixed(0.5, 2, signed=True), fixed(-120.5, 2, signed=True)) == ("+0.50", "-120")


@given(st.floats(-9.9, 9.9), st.integers(0, 8))
def test_below_ten_it_is_what_python_writes(value: float, places: int) -> None:
    assert fixed(value, places) == f"{value:.{places}f}"
