import hashlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from training.digits import Digits, Part, divide, load_digits, with_shifted, write_rows


@pytest.fixture(name="digits", scope="module")
def fixture_digits() -> Digits:
    return load_digits()


def pixels(part: Part) -> set[bytes]:
    return {image.tobytes() for image in part.image}


def test_the_digits_are_split_sixty_twenty_twenty(digits: Digits) -> None:
    rows = [len(part.label) for part in (digits.train, digits.validation, digits.test)]
    assert rows == [1078, 359, 360]


def test_rows_are_float_images_from_0_to_1_with_integer_labels(digits: Digits) -> None:
    part = digits.validation
    assert (part.image.shape, part.image.dtype.name) == ((359, 8, 8, 1), "float32")
    assert (part.label.shape, part.label.dtype.name) == ((359,), "int64")
    assert (part.image.min(), part.image.max()) == (0.0, 1.0)


def test_no_row_is_in_two_parts_not_even_as_another_scan_of_the_same_pixels(digits: Digits) -> None:
    parts = [pixels(part) for part in (digits.train, digits.validation, digits.test)]
    assert len(parts[0] | parts[1] | parts[2]) == 1797 == sum(len(part) for part in parts)


def test_every_class_has_its_share_of_every_part(digits: Digits) -> None:
    for part, rows in ((digits.train, (104, 110)), (digits.validation, (34, 37)), (digits.test, (34, 37))):
        counts = np.bincount(part.label, minlength=10)
        assert rows[0] <= counts.min()
        assert counts.max() <= rows[1]


def test_dividing_again_with_another_seed_moves_rows_but_loses_none(digits: Digits) -> None:
    first, second = (divide(digits.train, 0.15, seed=seed) for seed in (0, 1))
    assert pixels(first[1]) != pixels(second[1])
    assert pixels(first[0]) | pixels(first[1]) == pixels(digits.train)
    assert pixels(first[0]) & pixels(first[1]) == set()


def test_the_rows_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    digests = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        write_rows(folder, load_digits())
        digests.append(
            {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        )
    assert digests[0] == digests[1]
    assert sorted(digests[0]) == ["test.npz", "test.parquet", "validation.npz"]


def test_rows_are_written_under_the_names_of_the_input_and_the_label(digits: Digits, tmp_path: Path) -> None:
    write_rows(tmp_path, digits)
    with np.load(tmp_path / "test.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["image"], digits.test.image)
        np.testing.assert_array_equal(arrays["label"], digits.test.label)
    table = pq.read_table(tmp_path / "test.parquet")
    assert table["label"].to_pylist() == digits.test.label.tolist()
    assert table["image"].to_pylist() == digits.test.image.reshape(360, 64).tolist()


def test_shifted_images_are_moved_by_one_pixel_and_keep_their_labels() -> None:
    image = np.array([[[1, 2], [3, 4]]], np.float32).reshape(1, 2, 2, 1)
    shifted = with_shifted(Part(image, np.array([7])))
    assert shifted.label.tolist() == [7] * 5
    assert shifted.image.reshape(5, 4).tolist() == [
        [1, 2, 3, 4],
        [0, 0, 1, 2],
        [3, 4, 0, 0],
        [0, 1, 0, 3],
        [2, 0, 4, 0],
    ]
