from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble.data.labels import OUTSIDE, LabelRule
from ensemble.data.tensors import Place
from ensemble.errors import InvalidDataError

PLACE = Place(Path("in.csv"), start=10)
RULE = LabelRule(("cat", "dog", "owl"), 3)


def indices(values: Any, rule: LabelRule = RULE) -> list[int]:
    found = rule.indices(np.asarray(values), PLACE)
    assert found.dtype == np.int64
    return [int(index) for index in found]


def test_integers_are_indices_and_text_is_names() -> None:
    assert indices([2, 0]) == [2, 0]
    assert indices(np.array([[2], [0]], np.uint8)) == [2, 0]
    assert indices([1.0, 2.0]) == [1, 2]
    assert indices(["owl", "cat"]) == [2, 0]
    assert indices([b"owl", b"cat"]) == [2, 0]


def test_what_names_no_class_is_outside() -> None:
    assert indices([0, 3, -1]) == [0, OUTSIDE, OUTSIDE]
    assert indices([0.5, np.nan, np.inf]) == [OUTSIDE, OUTSIDE, OUTSIDE]
    assert indices(["cow", "", "0"]) == [OUTSIDE, OUTSIDE, OUTSIDE]


def test_text_without_types_may_be_either() -> None:
    rule = LabelRule(("cat", "dog", "owl"), 3, untyped=True)
    assert indices(["owl", "1", "3"], rule) == [2, 1, OUTSIDE]
    assert indices(["1.0", "2.000e+00", "0.5", "1_0", "nan"], rule) == [1, 2, OUTSIDE, OUTSIDE, OUTSIDE]
    assert indices(["3", "1", "x", "-1"], LabelRule((), 0, untyped=True)) == [3, 1, OUTSIDE, OUTSIDE]


def test_digits_named_by_themselves_are_not_ambiguous() -> None:
    assert indices(["2", "0"], LabelRule(("0", "1", "2"), 3, untyped=True)) == [2, 0]


def test_a_text_that_names_one_class_and_numbers_another_is_refused() -> None:
    rule = LabelRule(("1", "2", "3"), 3, untyped=True)
    assert indices(["3"], rule) == [2]
    message = "row 11: label '1' is the name of class 0 and the number of another"
    with pytest.raises(InvalidDataError, match=message):
        indices(["3", "1"], rule)
    assert indices([1], LabelRule(("1", "2", "3"), 3)) == [1]


def test_one_hot_labels_are_refused_with_the_way_out() -> None:
    with pytest.raises(InvalidDataError, match=r"labels have shape \[3\] a row; .* store the argmax"):
        indices(np.eye(3))


def test_labels_of_another_kind_are_refused() -> None:
    with pytest.raises(
        InvalidDataError, match="labels are bool; allowed are 0 to 2, or the names cat, dog, owl"
    ):
        indices([True])


def test_what_is_allowed_is_told_shortly() -> None:
    assert LabelRule((), 0).allowed() == "integers from 0"
    assert LabelRule((), 5).allowed() == "0 to 4"
    many = tuple(f"c{index}" for index in range(20))
    assert LabelRule(many, 20).allowed().endswith("c10, c11, ...")
