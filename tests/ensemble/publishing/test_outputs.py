"""What a member's columns are, told by looking or by who publishes."""

import numpy as np
import pytest

from ensemble.errors import InvalidModelError
from ensemble.publishing.outputs import kind_of, named_classes, order_of, steps_of

SHARES = [[0.25, 0.75], [0.5, 0.5]]
SIGMOIDS = [[0.25, 0.5], [1.0, 1.0]]
LOGITS = [[-1.0, 3.0], [0.0, 0.5]]


@pytest.mark.parametrize(
    ("scores", "declared", "classes", "kind"),
    [
        (SHARES, None, 2, "softmax"),
        (SHARES, "softmax", 2, "softmax"),
        (SHARES, "values", 2, "values"),
        (SIGMOIDS, None, 2, "sigmoid"),
        (LOGITS, "logits", 2, "logits"),
        (LOGITS, "values", 2, "values"),
        ([[0.25], [0.5]], None, 2, "sigmoid"),
        ([[0.25], [0.5]], None, 1, "values"),
        ([[0.25], [0.5]], "sigmoid", 1, "sigmoid"),
        ([[120.0], [0.5]], None, 1, "values"),
        ([[120.0], [0.5]], "logits", 1, "logits"),
    ],
)
def test_the_kind_is_told_by_the_scores_or_said(
    scores: list[list[float]], declared: str | None, classes: int, kind: str
) -> None:
    assert kind_of("net", np.array(scores), declared, classes) == kind


@pytest.mark.parametrize(
    ("scores", "declared", "what"),
    [
        (LOGITS, None, r"'net' gives scores from -1 to 3, .*: --output-kind net=logits, or net=values for n"),
        ([[120.0], [0.5]], None, "--output-kind net=logits, or net=values"),
        (
            LOGITS,
            "softmax",
            r"declared to give softmax; its scores lie between -1 and 3, .* add up to 0.5 to",
        ),
        (LOGITS, "sigmoid", "declared to give sigmoid"),
        (SHARES, "logits", "declared to give logits; .* leave out --output-kind net=logits"),
        (SHARES, "odds", "--output-kind net=odds: kinds are softmax, sigmoid, logits, values"),
    ],
)
def test_what_is_open_or_not_so_is_refused_with_the_option_that_settles_it(
    scores: list[list[float]], declared: str | None, what: str
) -> None:
    with pytest.raises(InvalidModelError, match=what):
        kind_of("net", np.array(scores), declared, 2)


@pytest.mark.parametrize(
    ("kind", "columns", "steps"),
    [
        ("softmax", 3, ()),
        ("sigmoid", 3, ()),
        ("sigmoid", 1, ("two-classes",)),
        ("logits", 3, ("softmax",)),
        ("logits", 1, ("sigmoid", "two-classes")),
        ("values", 1, ()),
        ("", 1, ()),
    ],
)
def test_what_makes_scores_of_each_kind(kind: str, columns: int, steps: tuple[str, ...]) -> None:
    assert steps_of(kind, columns) == steps


@pytest.mark.parametrize(
    ("own", "order"),
    [
        ("", ()),
        ("abc", ()),
        ("bca", (2, 0, 1)),
        # Numbers that a file holds count labels: they are no names.
        ("012", ()),
    ],
)
def test_columns_are_found_by_their_names(own: str, order: tuple[int, ...]) -> None:
    assert order_of("net", tuple(own), tuple("abc"), declared=False) == order


def test_numbers_that_are_the_classes_names_are_names() -> None:
    assert order_of("net", ("0", "1", "2"), ("2", "0", "1"), declared=False) == (2, 0, 1)


@pytest.mark.parametrize(("own", "declared"), [("abd", False), ("012", True), ("aab", True)])
def test_other_names_are_refused(own: str, declared: bool) -> None:
    with pytest.raises(InvalidModelError, match=r"the ensemble's are \['a', 'b', 'c'\]: .* net=a,b,c"):
        order_of("net", tuple(own), tuple("abc"), declared=declared)


def test_the_first_member_with_names_names_the_classes_that_nobody_did() -> None:
    own = {"numbers": ("0", "1"), "first": ("cat", "dog"), "second": ("dog", "cat")}

    assert named_classes(own, None) == ("cat", "dog")
    assert named_classes(own, ("dog", "cat")) == ("dog", "cat")
    assert named_classes({}, None) is None
