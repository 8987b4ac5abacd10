"""Weights for labels and for values: learned, judged column by column, compared with those before."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ensemble.errors import InvalidDataError, InvalidRequestError
from ensemble.refit.aims import aim_of
from ensemble.refit.blend import Blend
from ensemble.refit.candidates import ChoiceOptions
from ensemble.refit.learn import LearnOptions, learn
from ensemble.refit.learned import Learned
from ensemble.refit.sample import Sample
from ensemble.refit.solver import SolverOptions
from ensemble.servable import Servable
from ensemble.truth import Truth
from tests.support.members import servable

from .data import Told, Written, asked

RANDOM = np.random.default_rng(5)
VALUES = RANDOM.normal(size=(300, 2)) * (1, 100)
# Errors that go together are no use: "same" is "good", a little worse.
NOISE = RANDOM.normal(size=(3, 300, 2)) * (0.5, 50)
OF_VALUES = {
    "good": VALUES + NOISE[0],
    "other": VALUES + 2 * NOISE[1],
    "same": VALUES + 1.2 * NOISE[0],
}
ODDS = RANDOM.normal(size=(300, 3))
LABELS = RANDOM.random((300, 3)) < 1 / (1 + np.exp(-2 * ODDS))
OF_LABELS = {
    "good": 1 / (1 + np.exp(-2 * ODDS)),
    "shy": 1 / (1 + np.exp(-0.5 * ODDS)),
    "random": RANDOM.random((300, 3)) * 0.8 + 0.1,
}


def ensemble(truth: Truth, given: Mapping[str, NDArray[Any]], **weights: float) -> Servable:
    members = [Written(name, scores) for name, scores in given.items()]
    return replace(servable(*members, weights=weights or None), truth=truth)


def some_of(truth: Truth, rows: int = 300) -> tuple[Mapping[str, NDArray[Any]], NDArray[Any]]:
    """The first rows' scores by member, and what is true of them."""
    given, table = (OF_VALUES, VALUES) if truth is Truth.VALUES else (OF_LABELS, LABELS)
    return {name: scores[:rows] for name, scores in given.items()}, table[:rows]


def learned(truth: Truth, choice: ChoiceOptions | None = None, rows: int = 300) -> Learned:
    given, table = some_of(truth, rows)
    options = LearnOptions(choice=choice or ChoiceOptions())
    return learn(ensemble(truth, given), Told(None, table=table), options)


@pytest.mark.parametrize("objective", ["mse", "pinball:0.5"])
def test_no_weights_near_those_of_values_have_a_lower_loss(objective: str) -> None:
    sample = Sample.of(asked(Truth.VALUES, VALUES, **OF_VALUES))

    found = aim_of(objective).solve(sample, np.full(3, 1 / 3), SolverOptions())

    def loss(weights: NDArray[Any]) -> float:
        scores = np.stack([given.astype(np.float32) for given in OF_VALUES.values()])
        missed = VALUES - np.tensordot(weights, scores, 1)
        return float(np.mean(missed**2 if objective == "mse" else np.abs(missed) / 2))

    assert found.converged
    assert found.loss == pytest.approx(loss(found.weights), rel=1e-6)
    assert found.loss == pytest.approx(aim_of(objective).losses(sample, Blend(found.weights)).mean())
    for place in range(3):
        assert loss(found.weights) <= loss(0.99 * found.weights + 0.01 * np.eye(3)[place])
    # It errs where "good" errs, only more.
    assert found.weights[2] == 0


def test_weights_of_values_are_published_and_each_value_judged_by_itself() -> None:
    found = learned(Truth.VALUES)

    assert found.choice.name == "linear"
    assert found.verdict.publish
    assert set(found.verdict.parts) == {"class0", "class1"}


def test_the_brier_score_of_labels_is_the_mean_squared_distance_of_no_and_yes() -> None:
    found = learned(Truth.LABELS, ChoiceOptions(objective="brier"))

    pooled = sum(found.after[name] * given.astype(np.float32) for name, given in OF_LABELS.items())
    assert found.validation.learned.brier == pytest.approx(2 * np.mean((pooled - LABELS) ** 2), rel=1e-6)
    assert found.objective == "brier"
    assert found.after["random"] < found.after["good"]


@pytest.mark.parametrize(
    ("truth", "objective"),
    [
        (Truth.VALUES, "mse"),
        (Truth.VALUES, "pinball:0.75"),
        (Truth.LABELS, "log_loss"),
        (Truth.LABELS, "brier"),
    ],
)
def test_weights_that_were_learned_before_draw_new_ones_towards_them(truth: Truth, objective: str) -> None:
    given, table = some_of(truth, rows := 60 if objective.startswith("pinball") else 300)
    choice = ChoiceOptions(objective=objective)
    first = learned(truth, choice, rows)
    served = ensemble(truth, given, **first.after)

    again = learn(served, Told(None, table=table), LearnOptions(choice=choice), evidence=first.to_json())

    assert {"shrunk_300", "shrunk_10"} <= set(again.choice.held_out)
    # The same rows have nothing new to say.
    assert again.choice.name == "incumbent"
    assert not again.verdict.publish
    assert "these are the rows that the weights being served were learned on" in again.findings.notes


def test_a_file_in_which_all_members_got_worse_is_suspect() -> None:
    first = learned(Truth.VALUES)
    table = VALUES + RANDOM.normal(size=VALUES.shape) * (9, 900)

    again = learn(
        ensemble(Truth.VALUES, OF_VALUES, **first.after), Told(None, table=table), evidence=first.to_json()
    )

    [alarm] = again.findings.alarms
    assert alarm.startswith("the losses of 3 of 3 members rose together")
    assert not again.verdict.publish


def test_a_loss_of_another_kind_says_nothing_of_this_one() -> None:
    given, table = some_of(Truth.VALUES, 60)
    first = learned(Truth.VALUES, ChoiceOptions(objective="pinball:0.5"), rows=60)

    again = learn(ensemble(Truth.VALUES, given), Told(None, table=table), evidence=first.to_json())

    assert again.findings.alarms == ()
    assert again.findings.broken == ()


@pytest.mark.parametrize(
    ("truth", "table", "said"),
    [
        (Truth.LABELS, LABELS * [True, True, False], "label 'class2' is 0 in every row"),
        (Truth.VALUES, VALUES * [1, 0] + [0, 7], "value 'class1' is 7 in every row"),
    ],
)
def test_a_column_that_never_differs_is_alarming(truth: Truth, table: NDArray[Any], said: str) -> None:
    given = OF_VALUES if truth is Truth.VALUES else OF_LABELS

    found = learn(ensemble(truth, given), Told(None, table=table))

    assert [alarm.split(":")[0] for alarm in found.findings.alarms] == [said]
    assert not found.verdict.publish


def test_one_value_that_never_differs_is_alarming_too() -> None:
    given = {name: scores[:, :1] for name, scores in OF_VALUES.items()}

    found = learn(ensemble(Truth.VALUES, given), Told(None, table=np.full((300, 1), 2.5)))

    assert "value 'class0' is 2.5 in every row" in found.findings.alarms[0]
    assert math.isnan(found.validation.learned.r_squared)


def test_members_of_values_may_go_for_a_price() -> None:
    # "same" weighs nothing, and goes for nothing.
    free, price = learned(Truth.VALUES), 10 * float(VALUES.var())
    assert (free.pruning, free.after["same"]) == (None, 0.0)
    assert free.after["other"] > 0

    found = learned(Truth.VALUES, ChoiceOptions(max_cost=price))

    assert found.pruning is not None
    assert [each["member"] for each in found.pruning["removed"]] == ["other"]
    assert found.after == {"good": 1.0, "other": 0.0, "same": 0.0}


@pytest.mark.parametrize(
    ("truth", "options", "said"),
    [
        (Truth.VALUES, ChoiceOptions(pools=("linear", "log")), "of values only the weighted average"),
        (Truth.LABELS, ChoiceOptions(pools=("temperature",)), "of labels only the weighted average"),
        (Truth.VALUES, ChoiceOptions(objective="log_loss"), "log_loss doesn't judge values"),
        (Truth.LABELS, ChoiceOptions(objective="mse"), "mse doesn't judge labels"),
    ],
)
def test_what_does_not_fit_is_refused(truth: Truth, options: ChoiceOptions, said: str) -> None:
    given, table = some_of(truth)

    with pytest.raises(InvalidRequestError, match=said):
        learn(ensemble(truth, given), Told(None, table=table), LearnOptions(choice=options))


def test_rows_that_tell_of_other_columns_are_refused() -> None:
    with pytest.raises(InvalidDataError, match=r"labels have shape \[1\] a row; the members give 2 values"):
        learn(ensemble(Truth.VALUES, OF_VALUES), Told(None, table=VALUES[:, :1]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_cost": -0.1}, "what fewer members may cost is >= 0; got -0.1"),
        ({"max_cost": math.nan}, "what fewer members may cost is >= 0; got nan"),
        ({"pools": ()}, "pools are some of linear, temperature, log"),
        ({"pools": ("linear", "median")}, "got 'linear, median'"),
        ({"pools": ("log",), "objective": "brier"}, "with --objective brier name linear alone"),
        ({"objective": "pinball:many"}, "a quantile lies above 0 and below 1, as in pinball:0.9"),
        ({"objective": "rmse"}, "the objective is one of log_loss, brier"),
    ],
)
def test_what_is_no_choice_is_refused(options: Mapping[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        ChoiceOptions(**options)
