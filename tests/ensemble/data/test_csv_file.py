from pathlib import Path

import numpy as np
import pytest

from ensemble.data import csv_file
from ensemble.data.dataset import open_dataset
from ensemble.errors import InvalidDataError
from ensemble.signature import Signature, TensorSpec

SCORES = TensorSpec("scores", "float32", (2,))


def signature(dtype: str, shape: tuple[int, ...] = ()) -> Signature:
    return Signature((TensorSpec("x", dtype, shape),), (SCORES,))


def read(path: Path, text: str, dtype: str = "float32", keep: tuple[str, ...] = ()) -> list[object]:
    """The values of `x`, or of the first kept column."""
    path = path / "a.csv"
    path.write_text(text)
    chunks = list(open_dataset([path], signature(dtype), keep=keep).batches(2))
    if keep:
        return [value for chunk in chunks for value in chunk.kept[keep[0]].to_pylist()]
    return list(np.concatenate([chunk.rows["x"] for chunk in chunks]).tolist())


@pytest.mark.parametrize(
    ("text", "dtype", "values"),
    [
        ("x\n1\n2.5\n-3e2\n", "float32", [1.0, 2.5, -300.0]),
        ("x\n1\n2\n3\n", "uint8", [1, 2, 3]),
        ("x\n18446744073709551615\n", "uint64", [18446744073709551615]),
        ("x\ntrue\n0\n", "bool", [True, False]),
        ('x\nhe said "no"\n"a,\nb"\n', "bytes", [b'he said "no"', b"a,\nb"]),
        ("z,x\n,1\n", "float32", [1.0]),
        ("x\r\n1\r\n", "float32", [1.0]),
        ("\ufeffx\n1\n", "float32", [1.0]),
    ],
)
def test_text_is_parsed_by_the_signature(text: str, dtype: str, values: list[object], tmp_path: Path) -> None:
    assert read(tmp_path, text, dtype) == values


def test_kept_columns_stay_the_text_that_they_are(tmp_path: Path) -> None:
    assert read(tmp_path, "x,id\n1,007\n2,\n", keep=("id",)) == ["007", ""]


def test_an_input_that_is_also_kept_is_a_number(tmp_path: Path) -> None:
    assert read(tmp_path, "x\n1.5\n", keep=("x",)) == [1.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "can't be read as CSV: Empty CSV file"),
        ("x\n", "no rows: the data is empty"),
        ("x\n1\n\n", None),
        ("x\n1\n2\nthree\n", "can't be read as CSV: .*'three'"),
        ("x,y\n1,2\n1\n", "can't be read as CSV: .*Expected 2 columns, got 1"),
        ("x,y\n1,2\n1,2\n,2\n", "row 2: 'x' is missing: fill or drop such rows"),
        ("x\n1\n2\nNaN\n", "row 2: 'x' is missing"),
        ("z\n1\n", r"has no column 'x'; it has \['z'\]"),
        ("x,x\n1,2\n", r"several columns named \['x'\]"),
        ("x\n1e300\n", "row 0: 'x' can't be float32 without changing"),
    ],
)
def test_bad_text_is_refused_with_its_place(text: str, message: str | None, tmp_path: Path) -> None:
    if message is None:
        assert read(tmp_path, text) == [1.0]
        return
    with pytest.raises(InvalidDataError, match=message):
        read(tmp_path, text)


def test_a_file_of_many_blocks_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "BLOCK_SIZE", 64)
    assert read(tmp_path, "x\n" + "".join(f"{n}\n" for n in range(500))) == list(range(500))


def test_labels_are_names_or_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,dog\n2,0\n")
    dataset = open_dataset([tmp_path / "a.csv"], signature("float32"), label="y", classes=("cat", "dog"))
    (chunk,) = dataset.batches(8)
    assert chunk.labels is not None
    assert chunk.labels.tolist() == [1, 0]
    (tmp_path / "a.csv").write_text("x,y\n1,dog\n2,\n3,cow\n")
    with pytest.raises(InvalidDataError, match="row 1: label '' is outside the classes; 2 of 3 labels are"):
        open_dataset([tmp_path / "a.csv"], signature("float32"), label="y", classes=("cat", "dog"))
