import numpy as np
import pytest

from training.data.parts import Data, Part, divide
from training.data.sources import SOURCES

SIZES = {
    "digits": ("image", (8, 8, 1), [1078, 359, 360]),
    "mnist5k": ("image", (28, 28, 1), [3000, 1000, 1000]),
    "breast_cancer": ("features", (30,), [341, 114, 114]),
    "diabetes": ("features", (10,), [265, 88, 89]),
}


@pytest.fixture(name="data", scope="module", params=sorted(SIZES))
def fixture_data(request: pytest.FixtureRequest) -> tuple[str, Data]:
    return request.param, SOURCES[request.param]()


def parts(data: Data) -> list[Part]:
    return [data.train, data.validation, data.test]


def rows(part: Part) -> set[bytes]:
    (array,) = part.inputs.values()
    return {row.tobytes() for row in array}


def test_the_rows_are_split_sixty_twenty_twenty(data: tuple[str, Data]) -> None:
    name, loaded = data
    key, shape, sizes = SIZES[name]
    assert [part.rows for part in parts(loaded)] == sizes
    for part in parts(loaded):
        assert (part.inputs[key].shape[1:], part.inputs[key].dtype) == (shape, np.dtype(np.float32))


def test_no_row_is_in_two_parts_not_even_as_another_with_the_same_numbers(data: tuple[str, Data]) -> None:
    train, validation, test = map(rows, parts(data[1]))
    assert [len(train & validation), len(train & test), len(validation & test)] == [0, 0, 0]


def test_the_same_rows_come_every_time(data: tuple[str, Data]) -> None:
    assert SOURCES[data[0]]().digest == data[1].digest


@pytest.mark.parametrize("data", ["digits", "mnist5k"], indirect=True)
def test_images_go_from_0_to_1(data: tuple[str, Data]) -> None:
    image = data[1].validation.inputs["image"]
    assert (image.min(), image.max()) == (0.0, 1.0)


def test_every_class_has_its_share_of_every_part() -> None:
    data = SOURCES["digits"]()
    for part, most, least in ((data.train, 110, 104), (data.validation, 37, 34), (data.test, 37, 34)):
        assert part.label is not None
        counts = np.bincount(part.label, minlength=10)
        assert (counts.max() <= most, counts.min() >= least) == (True, True)


def test_tumours_are_malignant_or_benign() -> None:
    data = SOURCES["breast_cancer"]()
    assert data.classes == ("malignant", "benign")
    assert data.test.label is not None
    assert set(data.test.label.tolist()) == {0, 1}


def test_diabetes_has_values_and_no_classes() -> None:
    data = SOURCES["diabetes"]()
    assert (data.classes, data.train.label) == ((), None)
    assert data.train.value is not None
    assert 25 <= data.train.value.min() < data.train.value.max() <= 346


def test_dividing_again_with_another_seed_moves_rows_but_loses_none() -> None:
    whole = SOURCES["digits"]().train
    first, second = (divide(whole, 0.15, seed=seed) for seed in (0, 1))
    assert rows(first[1]) != rows(second[1])
    assert rows(first[0]) | rows(first[1]) == rows(whole)
    assert rows(first[0]) & rows(first[1]) == set()
