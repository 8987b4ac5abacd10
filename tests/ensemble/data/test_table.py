from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.data.parquet_file import ParquetFile
from ensemble.data.source import Raw, Wanted
from ensemble.data.table import rebatched
from ensemble.errors import InvalidDataError
from ensemble.signature import TensorSpec

X = TensorSpec("x", "float32", (2,))


def read(folder: Path, columns: dict[str, Any], wanted: Wanted | None = None, rows: int = 2) -> list[Raw]:
    """Write `columns` to Parquet and read them back."""
    pq.write_table(pa.table(columns), folder / "a.parquet")
    file = ParquetFile.open(folder / "a.parquet")
    wanted = wanted or Wanted((X,))
    file.check(wanted)
    return [block.raw() for block in file.read(wanted, rows)]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.float32())),
        pa.array([[1, 2], [3, 4], [5, 6]], pa.large_list(pa.int64())),
        pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.float64(), 2)),
        pa.array([[[1], [2]], [[3], [4]], [[5], [6]]], pa.list_(pa.list_(pa.int8()))),
        pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(1, 7).reshape(3, 2)),
    ],
    ids=["list", "large list", "fixed size list", "list of lists", "tensor"],
)
def test_a_tensor_is_a_column_of_lists_of_any_kind(column: Any, tmp_path: Path) -> None:
    raws = read(tmp_path, {"x": column})
    assert [raw.inputs["x"].tolist() for raw in raws] == [[[1, 2], [3, 4]], [[5, 6]]]


def test_a_tensor_may_be_one_column_a_value(tmp_path: Path) -> None:
    (raw,) = read(tmp_path, {"x_1": [2, 4], "x_0": [1, 3]})
    assert raw.inputs["x"].tolist() == [[1, 2], [3, 4]]


def test_a_tensor_of_any_size_takes_all_its_columns(tmp_path: Path) -> None:
    wanted = Wanted((TensorSpec("x", "float32", (-1,)),))
    columns: dict[str, Any] = {f"x_{index}": [index] for index in range(11)} | {"x_11b": [7]}
    (raw,) = read(tmp_path, columns, wanted)
    assert raw.inputs["x"].tolist() == [list(range(11))]


def test_text_with_few_values_is_read_through_its_dictionary(tmp_path: Path) -> None:
    labels = pa.array(["dog", "cat", "dog"]).dictionary_encode()
    raws = read(tmp_path, {"x_0": [1, 2, 3], "x_1": [1, 2, 3], "y": labels}, Wanted((X,), "y"))
    assert [raw.label.tolist() for raw in raws if raw.label is not None] == [["dog", "cat"], ["dog"]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [[1, 2], [3, 4], None]}, "row 2: 'x' is missing: fill or drop such rows"),
        ({"x": [[1, 2], [3, 4], [5, None]]}, "row 2: 'x' is missing"),
        ({"x_0": [1, 2, 3], "x_1": [1, 2, None]}, "row 2: 'x_1' is missing"),
        ({"x": [[1, 2], [3, 4], [5, 6], [7]]}, "row 3: 'x' has 1 values where row 2 has 2"),
        ({"x": [[[1], [2]], [[3], [4, 4]]]}, "row 1: 'x' has 2 values where row 0 has 1"),
        (
            {"z": [1], "y": [1]},
            r"has no column 'x'; it has \['z', 'y'\]: name one column 'x', or one a value",
        ),
        ({"x_0": [1]}, r"has no column 'x', nor 'x_1'; it has \['x_0'\]"),
        ({f"c{index}": [1] for index in range(30)}, r"'c19'\] and 10 more: name one"),
    ],
)
def test_rows_that_are_no_tensor_are_refused_with_their_place(
    columns: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidDataError, match=message):
        read(tmp_path, columns)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([[1, 2]]), pa.array([[3, 4]])], names=["x", "x"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InvalidDataError, match=r"several columns named \['x'\]: rename all but one"):
        ParquetFile.open(tmp_path / "a.parquet").check(Wanted((X,)))


@pytest.mark.parametrize("cut", [0, 20])
def test_a_file_that_is_not_parquet_is_refused(cut: int, tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1" + bytes(cut))
    with pytest.raises(InvalidDataError, match=r"a.parquet: can't be read as Parquet: "):
        ParquetFile.open(tmp_path / "a.parquet")


def test_a_damaged_page_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": np.arange(10_000).reshape(5000, 2).tolist()}), path)
    data = bytearray(path.read_bytes())
    data[4:400] = bytes(396)
    path.write_bytes(data)
    with pytest.raises(InvalidDataError, match="can't be read as Parquet"):
        list(ParquetFile.open(path).read(Wanted((X,)), 100))


@given(sizes=st.lists(st.integers(0, 9), max_size=8), rows=st.integers(1, 12))
def test_batches_are_recut_without_losing_a_row(sizes: list[int], rows: int) -> None:
    numbers = iter(range(1000))
    batches = [
        pa.record_batch({"n": pa.array([next(numbers) for _ in range(size)], pa.int64())}) for size in sizes
    ]
    recut = [batch.column("n").to_pylist() for batch in rebatched(batches, rows)]
    assert list(chain.from_iterable(recut)) == list(range(sum(sizes)))
    assert all(len(batch) == rows for batch in recut[:-1])
    assert all(batch for batch in recut)
