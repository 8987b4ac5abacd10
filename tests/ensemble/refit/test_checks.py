from ensemble.refit.checks import alarms

from .data import predictions

SCORES = [[0.5, 0.25, 0.25]]


def test_sound_data_raises_no_alarm() -> None:
    assert alarms(predictions([0, 1, 2], a=SCORES * 3, b=SCORES * 3)) == ()


def test_fewer_rows_than_members_raise_an_alarm() -> None:
    found = alarms(predictions([0, 1, 2], a=SCORES * 3, b=SCORES * 3, c=SCORES * 3, d=SCORES * 3))
    assert found == ("3 rows can't tell 4 members apart: use a file of more rows than members",)


def test_an_absent_class_raises_an_alarm_that_names_it() -> None:
    (found,) = alarms(predictions([0, 2, 0], a=SCORES * 3))
    assert found.startswith("no row is of class 'class1': the weights would be blind to 1 of 3 classes")


def test_many_absent_classes_are_counted() -> None:
    (found,) = alarms(predictions([0], a=[[0.125] * 8]))
    assert "'class5' and 2 more: the weights would be blind to 7 of 8 classes" in found
