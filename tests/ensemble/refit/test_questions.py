"""Rows of labels and of values as questions: which answer is which, and of which row."""

import numpy as np
import pytest

from ensemble.errors import InvalidDataError
from ensemble.refit.aims import log_loss_of
from ensemble.refit.questions import Answers, Asked
from ensemble.refit.report_data import SAMPLE_ROWS, error_correlation
from ensemble.refit.row_columns import RowColumns
from ensemble.refit.sample import Sample
from ensemble.truth import Truth

from .data import asked

# Three rows of two labels.
SCORES = np.array([[0.25, 0.75], [0.5, 1.0], [0.0, 0.125]], np.float32)


def test_an_answer_is_the_probability_of_no_and_of_yes() -> None:
    answers = Answers(SCORES, (3, 2), Truth.LABELS)

    assert answers[np.array([0, 1, 5])].tolist() == [[0.75, 0.25], [0.25, 0.75], [0.875, 0.125]]
    assert answers[slice(2, 5)].tolist() == [[0.5, 0.5], [0.0, 1.0], [1.0, 0.0]]
    assert answers[slice(None, None, 4)].tolist() == [[0.75, 0.25], [1.0, 0.0]]


def test_answers_come_in_the_order_asked_for_as_often_as_asked_for() -> None:
    answers = Answers(SCORES, (3, 2), Truth.VALUES)

    assert answers[np.array([5, 0, 5, 3])].tolist() == [[0.125], [0.25], [0.125], [1.0]]
    assert answers[np.array([], np.int64)].shape == (0, 1)
    assert answers[slice(0, 0)].shape == (0, 1)


def test_no_and_yes_add_up_to_one_whatever_the_score() -> None:
    scores = np.random.default_rng(0).random((200, 3)).astype(np.float32)

    assert (Answers(scores, (200, 3), Truth.LABELS)[:].sum(axis=1) == 1).all()


def test_a_class_is_the_only_question_of_its_row() -> None:
    nothing = Asked()

    assert nothing.each == 1
    assert nothing.answers([SCORES], 3) == (SCORES,)
    assert nothing.parts(np.arange(3)) == {}


def test_what_a_column_says_of_a_row_it_says_of_each_of_its_questions() -> None:
    two = Asked(Truth.LABELS, ("sport", "art"))
    columns = {"day": np.array([7, 8, 9]), "place": np.zeros((3, 2))}

    kept = two.kept(columns)

    assert {name: column.tolist() for name, column in kept.items()} == {"day": [7, 7, 8, 8, 9, 9]}
    parts = two.parts(np.array([0, 3, 4]))
    assert {name: part.tolist() for name, part in parts.items()} == {
        "sport": [True, False, True],
        "art": [False, True, False],
    }
    assert Asked(Truth.VALUES, ("one",)).parts(np.arange(3)) == {}


def test_an_answer_that_no_member_allows_for_is_named_by_the_row_of_the_data() -> None:
    truth = [[0, 1], [1, 1], [0, 0], [1, 0]]
    fine = np.full((4, 2), 0.5)
    fine[3] = 0.0
    sample = Sample.of(asked(Truth.LABELS, truth, a=fine, b=fine))

    with pytest.raises(InvalidDataError, match=r"true of 1 of 4 rows a score of zero.*first in row 3"):
        log_loss_of(sample)


def test_rows_that_do_not_count_are_none_of_those_that_are_numbered() -> None:
    truth = [[1], [1], [1]]
    found = asked(Truth.LABELS, truth, {"counts": np.array([0, 0, 2])}, a=[[0.5], [0.0], [0.0]])

    sample = RowColumns(weight="counts").sample(found)

    with pytest.raises(InvalidDataError, match=r"true of 1 of 1 rows a score of zero.*first in row 2"):
        log_loss_of(sample)


def test_a_weight_that_is_none_is_named_by_the_row_of_the_data() -> None:
    found = asked(Truth.VALUES, [[1, 2]] * 3, {"counts": np.array([1, 1, -4.0])}, a=[[1, 2]] * 3)

    with pytest.raises(InvalidDataError, match="row 2 of column 'counts' has -4"):
        RowColumns(weight="counts").sample(found)


def test_of_many_rows_every_label_takes_part_in_how_alike_errors_are() -> None:
    """Twice too many questions for all: every second row is looked at, not every second question."""
    truth = np.zeros((SAMPLE_ROWS, 2))
    first, other = np.zeros((2, SAMPLE_ROWS, 2))
    first[:, 0] = other[:, 1] = 0.5

    found = error_correlation(Sample.of(asked(Truth.LABELS, truth, a=first, b=other, c=first + other)))

    assert found == pytest.approx(np.array([[1, 0, 0.5**0.5], [0, 1, 0.5**0.5], [0.5**0.5, 0.5**0.5, 1]]))
