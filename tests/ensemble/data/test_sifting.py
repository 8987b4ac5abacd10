from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.data.dataset import open_dataset
from ensemble.data.sifting import BadRow
from ensemble.errors import InvalidDataError
from ensemble.signature import Signature, TensorSpec

SIGNATURE = Signature((TensorSpec("x", "float32", (2,)),), (TensorSpec("scores", "float32", (3,)),))


def sifted(path: Path, size: int, keep: tuple[str, ...] = ()) -> tuple[list[int], list[BadRow]]:
    """The rows that fit, by number, and the others; `x` of row n is [n, n]."""
    dataset = open_dataset([path], SIGNATURE, keep=keep, lenient=True)
    good, bad = [], []
    for chunks, rows in dataset.sifted(dataset.cursor(size), 0, dataset.rows):
        for chunk in chunks:
            assert chunk.rows["x"].tolist() == [[row, row] for row in chunk.row_numbers.tolist()]
            good += chunk.row_numbers.tolist()
        bad += rows
    return good, bad


@given(rows=st.integers(1, 50), size=st.integers(1, 60), data=st.data())
def test_every_row_is_either_good_or_bad_and_each_is_judged_alone(
    rows: int, size: int, data: st.DataObject
) -> None:
    wrong = data.draw(st.sets(st.integers(0, rows - 1)))
    x = np.repeat(np.arange(rows, dtype=np.float32)[:, None], 2, axis=1)
    x[sorted(wrong), 1] = np.nan
    with TemporaryDirectory() as folder:
        np.savez(Path(folder) / "a.npz", x=x)
        good, bad = sifted(Path(folder) / "a.npz", size)
    assert good == [row for row in range(rows) if row not in wrong]
    assert [(row.row, row.code) for row in bad] == [(row, "nan") for row in sorted(wrong)]


def test_each_way_to_be_wrong_has_its_code_in_parquet(tmp_path: Path) -> None:
    x = [[0, 0], None, [2, 2], [3], [4, None], [5, 5, 5], [6, 6], [7, float("nan")], [8, 1e300], [9, 9]]
    pq.write_table(pa.table({"x": pa.array(x, pa.list_(pa.float64()))}), tmp_path / "a.parquet")
    good, bad = sifted(tmp_path / "a.parquet", 4)
    assert good == [0, 2, 6, 9]
    assert [(row.row, row.code, row.message) for row in bad] == [
        (1, "missing", "'x' is missing: fill or drop such rows"),
        (3, "shape", "a row of 'x' has shape [1], the ensemble takes [2]"),
        (4, "missing", "'x' is missing: fill or drop such rows"),
        (5, "shape", "a row of 'x' has shape [3], the ensemble takes [2]"),
        (7, "nan", "'x' is NaN: fill or drop such rows; got nan"),
        (8, "range", "'x' can't be float32 without changing; got 1e+300"),
    ]


@pytest.mark.parametrize("size", [1, 3, 100])
def test_each_way_to_be_wrong_has_its_code_in_csv(size: int, tmp_path: Path) -> None:
    rows = ["0,0,a", "1,,b", "2,2,c", "3", "", "four,4,d", " 5 ,5,\u00e9", "nan,6,f", '7,7,"g\nh"', "8,8,i,j"]
    (tmp_path / "a.csv").write_text("x_0,x_1,id\n" + "\n".join(rows) + "\n")
    good, bad = sifted(tmp_path / "a.csv", size, keep=("id",))
    assert good == [0, 2, 5, 7]
    assert [(row.row, row.code) for row in bad] == [
        (1, "missing"), (3, "columns"), (4, "parse"), (6, "missing"), (8, "columns"),
    ]  # fmt: skip
    assert bad[1].message == "has 1 values, the header 3 names"


def test_bytes_that_are_no_text_spoil_their_row_only(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"x_0,x_1,id\n0,0,a\n1,1,\xff\n2,2,c\n")
    good, bad = sifted(tmp_path / "a.csv", 8, keep=("id",))
    assert good == [0, 2]
    assert [(row.row, row.code) for row in bad] == [(1, "parse")]


def test_rows_of_several_shapes_where_any_is_allowed_come_in_chunks_of_one(tmp_path: Path) -> None:
    spec = TensorSpec("x", "float32", (-1,))
    pq.write_table(pa.table({"x": [[0.0], [1.0], [2.0, 2.0], [3.0]]}), tmp_path / "a.parquet")
    dataset = open_dataset([tmp_path / "a.parquet"], Signature((spec,), SIGNATURE.outputs), lenient=True)
    ((chunks, bad),) = dataset.sifted(dataset.cursor(8), 0, 4)
    assert [chunk.row_numbers.tolist() for chunk in chunks] == [[0, 1], [2], [3]]
    assert not bad


def test_a_kept_column_no_row_of_which_can_be_read_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 2)), wave=np.zeros(2, np.complex128))
    with pytest.raises(InvalidDataError, match="can't keep 'wave', of dtype complex128"):
        sifted(tmp_path / "a.npz", 8, keep=("wave",))
