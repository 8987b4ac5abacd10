from dataclasses import replace
from math import inf
from typing import Any

import numpy as np

from ensemble.refit.blend import Blend
from ensemble.refit.checks import Findings, check, leaked
from ensemble.refit.comparison import Comparison, Contenders, compare
from ensemble.refit.predictions import Predictions
from ensemble.refit.sample import Sample
from ensemble.truth import Truth

from .data import asked, predictions

SCORES = [[0.5, 0.25, 0.25]]


def sound(rows: int = 60) -> Predictions:
    labels = [row % 3 for row in range(rows)]
    good = [[0.8 if index == label else 0.1 for index in range(3)] for label in labels]
    return predictions(labels, a=good, b=SCORES * rows, c=SCORES * rows)


def compared(found: Predictions) -> Comparison:
    members = len(found.members)
    uniform = Blend.uniform(members)
    return compare(found, Contenders(uniform, uniform, found.members[0]), "d1")


def checked(found: Predictions, evidence: dict[str, Any] | None = None) -> Findings:
    return check(Sample.of(found), compared(found), evidence or {})


def recorded(**members: float | None) -> dict[str, Any]:
    """Evidence in which each member's loss is known within 0.05."""
    return {
        "validation": {
            "data": {"digest": "d0"},
            "losses": {"members": members},
            "standard_errors": {"members": dict.fromkeys(members, 0.05)},
        }
    }


def test_sound_data_raises_nothing() -> None:
    assert checked(sound()) == Findings()


def test_fewer_rows_than_members_raise_an_alarm() -> None:
    found = predictions([0, 1, 2], a=SCORES * 3, b=SCORES * 3, c=SCORES * 3, d=SCORES * 3)
    assert checked(found).alarms == (
        "3 rows can't tell 4 members apart: use a file of more rows than members",
    )


def test_rows_are_as_many_as_their_weights_make_them() -> None:
    def weighed(*weights: float) -> Findings:
        sample = replace(Sample.of(sound()), weights=np.tile(weights, 20))
        return check(sample, compared(sound()), {})

    # The same weight for all, however small, is none.
    assert weighed(1e-300, 1e-300, 1e-300) == Findings()
    # 60 rows of the weights 1, 1 and 8: (20 * 10)**2 / (20 * 66).
    assert weighed(1, 1, 8).notes == (
        "60 rows, which count as 30.3, are few for 3 members: 20 a member or more are better",
    )
    sample = replace(Sample.of(sound()), weights=np.array([1.0] * 2 + [0.0] * 58))
    few, absent = check(sample, compared(sound()), {}).alarms
    assert (
        few == "60 rows, which count as 2.0, can't tell 3 members apart: use a file of more rows than members"
    )
    assert absent.startswith("no row is of class 'class2'")


def test_a_label_that_differs_only_where_nothing_counts_never_differs() -> None:
    told = asked(Truth.LABELS, [[1], [1], [0]] * 20, a=[[0.5], [0.75], [0.5]] * 20)
    sample = replace(Sample.of(told), weights=np.array([1.0, 1.0, 0.0] * 20))

    (alarm,) = check(sample, compared(told), {}).alarms

    assert alarm.startswith("label 'c0' is 1 in every row")


def test_few_rows_a_member_are_noted() -> None:
    assert checked(sound(30)).notes == ("30 rows are few for 3 members: 20 a member or more are better",)


def test_an_absent_class_raises_an_alarm_that_names_it() -> None:
    (alarm,) = checked(predictions([0, 2, 0], a=SCORES * 3)).alarms
    assert alarm.startswith("no row is of class 'class1': the weights would be blind to 1 of 3 classes")


def test_many_absent_classes_are_counted() -> None:
    (alarm,) = checked(predictions([0], a=[[0.125] * 8])).alarms
    assert "'class5' and 2 more: the weights would be blind to 7 of 8 classes" in alarm


def test_losses_that_stayed_raise_nothing() -> None:
    # -log 0.8 = 0.22; b and c lose -log 0.5 once and -log 0.25 twice in three rows: 1.16.
    assert checked(sound(), recorded(a=0.2, b=1.1, c=1.1)) == Findings()


def test_losses_that_fell_raise_nothing() -> None:
    assert checked(sound(), recorded(a=2.0, b=2.0, c=2.0)) == Findings()


def test_one_loss_that_rose_names_the_member() -> None:
    found = checked(sound(), recorded(a=0.01, b=1.1, c=1.1))
    assert found.broken == ("a",)
    assert found.alarms == ()
    assert found.notes == ("the loss of 1 of 3 members rose alone (a 0.0100 -> 0.2231): suspect the member",)


def test_losses_that_rose_together_raise_an_alarm_about_the_file() -> None:
    found = checked(sound(), recorded(a=0.01, b=0.1, c=0.1))
    assert found.broken == ()
    assert found.alarms[0].startswith("the losses of 3 of 3 members rose together")
    assert "suspect the file, its labels first" in found.alarms[0]


def test_a_loss_that_became_infinite_rose() -> None:
    impossible = predictions([0, 1, 2] * 20, a=[[1.0, 0.0, 0.0]] * 60, b=SCORES * 60, c=SCORES * 60)
    assert compared(impossible).members["a"].loss == inf
    assert checked(impossible, recorded(a=1.0, b=1.1, c=1.1)).broken == ("a",)


def test_a_recorded_infinite_loss_cannot_rise() -> None:
    assert checked(sound(), recorded(a=None, b=1.1, c=1.1)) == Findings()


def test_the_rows_learned_on_before_are_noted() -> None:
    evidence = {"validation": {"data": {"digest": "d1"}}}
    assert checked(sound(), evidence).notes == (
        "these are the rows that the weights being served were learned on",
    )


def learned_before(**classes: int) -> dict[str, Any]:
    """Evidence of so many rows of each class."""
    told = [{"name": name, "rows": rows} for name, rows in classes.items()]
    return {"figures": {"validation": {"classes": told}}}


def test_classes_in_other_shares_are_noted() -> None:
    # 20 rows of each now.
    (note,) = checked(sound(), learned_before(class0=200, class1=50, class2=50)).notes
    assert note.startswith(
        "classes come in other shares than before: 'class0' 66.7% -> 33.3% of the rows (chi"
    )


def test_classes_in_like_shares_are_not() -> None:
    assert checked(sound(), learned_before(class0=22, class1=20, class2=15)) == Findings()
    assert checked(sound(), learned_before(class0=0, class1=0, class2=0)) == Findings()
    assert checked(sound(), learned_before(other=200, names=50)) == Findings()


def test_rows_that_were_learned_on_before_are_noted() -> None:
    found = replace(sound(), fingerprints=np.arange(60, dtype=np.uint64))
    seen = [f"{value:016x}" for value in range(15)]
    (note,) = checked(found, {"rows_seen": seen}).notes
    assert note.startswith("the weights being served were learned on about 25% of these rows")
    assert checked(found, {"rows_seen": ["00000000000003e8"]}) == Findings()
    assert checked(sound(), {"rows_seen": seen}) == Findings()


def test_test_rows_that_were_learned_on_are_noted() -> None:
    validation = replace(sound(), fingerprints=np.arange(60, dtype=np.uint64))
    test = replace(sound(), fingerprints=np.arange(50, 110, dtype=np.uint64))
    assert leaked(validation, test) == (
        "10 of 60 test rows are among the validation rows: the test losses flatter",
    )
    assert leaked(validation, replace(test, fingerprints=np.arange(60, 120, dtype=np.uint64))) == ()
    assert leaked(sound(), sound()) == ()
