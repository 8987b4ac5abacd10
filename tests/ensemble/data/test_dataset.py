from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.data.dataset import Dataset, open_dataset
from ensemble.errors import InvalidDataError
from ensemble.signature import Signature, TensorSpec

from .files import WRITERS, write_csv, write_npz, write_parquet_flat

IMAGE = TensorSpec("image", "float32", (2, 3, 1))
AGE = TensorSpec("age", "int64", ())
SCORES = TensorSpec("scores", "float32", (3,))
SIGNATURE = Signature((IMAGE, AGE), (SCORES,))
CLASSES = ("cat", "dog", "owl")


def arrays(rows: int) -> dict[str, np.ndarray]:
    return {
        "image": np.arange(rows * 6, dtype=np.float32).reshape(rows, 2, 3, 1) / 8,
        "age": np.arange(rows, dtype=np.int64),
        "y": np.arange(rows, dtype=np.int64) % 3,
    }


@given(rows=st.integers(1, 40), size=st.integers(1, 50), name=st.sampled_from(sorted(WRITERS)))
def test_rows_come_out_as_they_went_in_whatever_the_format_and_batch_size(
    rows: int, size: int, name: str
) -> None:
    written = arrays(rows)
    with TemporaryDirectory() as folder:
        file = WRITERS[name](Path(folder) / "rows", written)
        dataset = open_dataset([file], SIGNATURE, label="y", classes=CLASSES)
        chunks = list(dataset.batches(size))
    assert dataset.rows == rows
    assert [len(chunk.rows["age"]) for chunk in chunks[:-1]] == [size] * (len(chunks) - 1)
    assert [chunk.start for chunk in chunks] == list(range(0, rows, size))
    for spec in (IMAGE, AGE):
        read = np.concatenate([chunk.rows[spec.name] for chunk in chunks])
        assert read.dtype == spec.dtype
        np.testing.assert_array_equal(read, written[spec.name])
    np.testing.assert_array_equal(np.concatenate([labels(chunk.labels) for chunk in chunks]), written["y"])


def labels(found: np.ndarray | None) -> np.ndarray:
    assert found is not None
    assert found.dtype == np.int64
    return found


def opened(paths: list[Path], signature: Signature = SIGNATURE, **options: object) -> Dataset:
    return open_dataset(paths, signature, **options)  # type: ignore[arg-type]


def test_a_folder_is_read_in_the_order_of_its_names_and_chunks_say_where_they_are_from(
    tmp_path: Path,
) -> None:
    write_csv(tmp_path / "b", arrays(3))
    write_npz(tmp_path / "a", arrays(2))
    (tmp_path / "_done.csv").write_text("no data\n")
    (tmp_path / "notes.txt").write_text("no data\n")
    chunks = list(opened([tmp_path]).batches(2))
    places = [(chunk.source.name, chunk.row, chunk.start, len(chunk.rows["age"])) for chunk in chunks]
    assert places == [("a.npz", 0, 0, 2), ("b.csv", 0, 2, 2), ("b.csv", 2, 4, 1)]


def test_a_pattern_names_files(tmp_path: Path) -> None:
    for name in ("c1", "a1", "a2"):
        write_parquet_flat(tmp_path / name, arrays(1))
    dataset = opened([tmp_path / "a*.parquet"])
    assert [file.name for file in dataset.files] == ["a1.parquet", "a2.parquet"]


def test_the_digest_is_that_of_the_bytes_of_the_files_in_order(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    (tmp_path / "b.csv").write_text("x\n2\n")
    signature = Signature((TensorSpec("x", "float32", ()),), (SCORES,))
    # printf 'x\n1\nx\n2\n' | sha256sum
    expected = "4e2076bfa8916261ced7df4c5956605b11b69ec39113ee7f5c4859d5943a8432"
    assert opened([tmp_path], signature).digest == expected


def test_a_batch_size_below_one_is_refused(tmp_path: Path) -> None:
    dataset = opened([write_npz(tmp_path / "a", arrays(2))])
    with pytest.raises(InvalidDataError, match="batch size must be >= 1 rows; got 0"):
        next(dataset.batches(0))


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_an_empty_file_is_refused(name: str, tmp_path: Path) -> None:
    empty: dict[str, np.ndarray] = {"image": np.zeros((0, 2, 3, 1), np.float32), "age": np.zeros(0, np.int64)}
    file = WRITERS[name](tmp_path / "empty", empty)
    with pytest.raises(InvalidDataError, match="no rows: the data is empty"):
        opened([file])


def test_labels_outside_the_classes_are_refused_before_any_row_is_read(tmp_path: Path) -> None:
    written = arrays(6) | {"y": np.array([0, 1, 7, 2, -1, 0])}
    message = (
        r"rows.npz: row 2: label 7 is outside the classes; 2 of 6 labels are;"
        r" allowed are 0 to 2, or the names cat, dog, owl"
    )
    file = write_npz(tmp_path / "rows", written)
    with pytest.raises(InvalidDataError, match=message):
        opened([file], label="y", classes=CLASSES)


def test_a_missing_label_says_what_is_there(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "rows", {"age": np.arange(2), "image": np.zeros((2, 6))})
    with pytest.raises(InvalidDataError, match=r"has no column 'label'; it has \['age', 'image_0'"):
        opened([file], label="label")


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_kept_columns_come_along(name: str, tmp_path: Path) -> None:
    file = WRITERS[name](tmp_path / "rows", arrays(5))
    kept = [value for chunk in opened([file], keep=["y"]).batches(2) for value in chunk.kept["y"].to_pylist()]
    # A CSV has no types: what is kept stays the text that it is.
    assert kept == (["0", "1", "2", "0", "1"] if name == "csv" else [0, 1, 2, 0, 1])


def test_without_classes_labels_must_fit_the_scores(tmp_path: Path) -> None:
    file = write_npz(tmp_path / "rows", arrays(3) | {"y": np.array([0, 3, 1])})
    with pytest.raises(InvalidDataError, match=r"row 1: label 3 .* allowed are 0 to 2$"):
        opened([file], label="y")


def test_there_are_no_labels_to_check_where_none_were_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="no labels to check: name their column or array"):
        opened([write_npz(tmp_path / "rows", arrays(3))]).check_labels()
