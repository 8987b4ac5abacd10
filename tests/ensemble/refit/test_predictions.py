from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from ensemble.data.dataset import Chunk
from ensemble.errors import InvalidDataError, MemberError
from ensemble.refit.predictions import predict_all
from ensemble.signature import Signature, TensorSpec
from tests.support.members import Constant, SoftmaxLinear, servable

from .data import InMemory, World, Written


def test_every_member_is_asked_whether_it_votes_or_not() -> None:
    ensemble = servable(
        Constant("asked"), Constant("silent", (0.125, 0.125, 0.75)), weights={"asked": 1.0, "silent": 0.0}
    )
    found = predict_all(ensemble, InMemory([0, 2]))
    assert found.members == ("asked", "silent")
    assert found.classes == ("class0", "class1", "class2")
    assert found.labels.tolist() == [0, 2]
    assert found.true_class_scores().tolist() == [[0.5, 0.125], [0.25, 0.75]]


def test_batches_of_any_size_give_the_same_predictions() -> None:
    world = World(rows=10)
    whole = predict_all(world.servable(), world.data(), batch_size=10)
    for batch_size in (1, 3, 7, 100):
        found = predict_all(world.servable(), world.data(), batch_size=batch_size)
        assert [a[:].tobytes() for a in found.scores] == [a[:].tobytes() for a in whole.scores]
        assert found.labels.tolist() == world.labels()


def test_progress_counts_rows() -> None:
    seen: list[int] = []
    predict_all(servable(SoftmaxLinear("m")), InMemory([0] * 5), batch_size=2, progress=seen.append)
    assert seen == [0, 2, 4, 5]


def test_data_without_rows_is_refused() -> None:
    with pytest.raises(InvalidDataError, match="holds no rows"):
        predict_all(servable(Constant("m")), InMemory([]))


def test_data_without_labels_is_refused() -> None:
    with pytest.raises(InvalidDataError, match="name their column"):
        predict_all(servable(Constant("m")), InMemory(None, count=3))


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_outside_the_classes_is_refused_with_its_row(label: int) -> None:
    with pytest.raises(InvalidDataError, match=f"row 2 has label {label}; the classes are 0 to 2"):
        predict_all(servable(Constant("m")), InMemory([0, 1, label]), batch_size=2)


def test_data_that_shrinks_while_it_is_read_is_refused() -> None:
    class Shrinking(InMemory):
        def batches(self, rows: int, start: int = 0, stop: int | None = None) -> Iterator[Chunk]:
            yield next(super().batches(rows, start, stop))

    with pytest.raises(InvalidDataError, match="4 rows at first, then 2"):
        predict_all(servable(Constant("m")), Shrinking([0, 1, 2, 0]), batch_size=2)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused_with_the_member_and_the_row(bad: float) -> None:
    broken = Written("broken", [[0.5, 0.25, 0.25], [bad, 0.0, 0.0], [bad, 0.0, 0.0]])
    with pytest.raises(MemberError, match=r"'broken' gives 2 of 3 rows .* not finite, the first is row 1"):
        predict_all(servable(Constant("fine"), broken), InMemory([0, 1, 2]))


@pytest.mark.parametrize("scores", [(3.0, -2.0, 0.0), (0.5, 0.25, 0.5)])
def test_scores_that_are_not_probabilities_are_refused(scores: tuple[float, float, float]) -> None:
    with pytest.raises(MemberError, match=r"member 'logits' gives row 0 .* log-loss needs probabilities"):
        predict_all(servable(Constant("logits", scores)), InMemory([0]))


def test_classes_without_names_are_called_by_their_numbers() -> None:
    nameless = replace(servable(Constant("m")), classes=())
    assert predict_all(nameless, InMemory([0])).classes == ("0", "1", "2")


def test_an_unknown_number_of_classes_is_refused() -> None:
    scores = Signature((TensorSpec("x", "float32", (2,)),), (TensorSpec("scores", "float32", (-1,)),))
    with pytest.raises(InvalidDataError, match="digits doesn't say how many classes"):
        predict_all(replace(servable(Constant("m")), classes=(), signature=scores), InMemory([0]))
