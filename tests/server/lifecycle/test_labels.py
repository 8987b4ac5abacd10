import pytest

from server.lifecycle.labels import Labels


def test_labels_are_those_of_the_last_look_for_the_ensemble_and_its_members() -> None:
    stored = {"stable": 1}
    labels = Labels(lambda _: stored)
    before = labels.of("digits")
    labels.refresh("digits")
    stored["canary"] = 2

    assert before == {}
    assert labels.of("digits") == {"stable": 1}
    assert labels.of("digits.cnn") == {"stable": 1}
    labels.refresh("digits")
    assert labels.of("digits") == {"stable": 1, "canary": 2}
    assert labels.of("other") == {}


def test_a_store_that_can_not_be_read_leaves_the_labels_as_they_were() -> None:
    answers = iter([{"stable": 1}])
    labels = Labels(lambda _: next(answers))
    labels.refresh("digits")

    with pytest.raises(StopIteration):
        labels.refresh("digits")

    assert labels.of("digits") == {"stable": 1}
