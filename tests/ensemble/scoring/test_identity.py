"""`--id-column`: what names a row goes with it, to the scores and to the list of the bad rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ensemble.data.dataset import open_dataset
from ensemble.errors import InvalidDataError
from ensemble.scoring.run import ErrorLimit, ScoreOptions, score
from ensemble.servable import Servable
from tests.ensemble.data.files import example, framed
from tests.support.members import servable

from .jobs import ENSEMBLE
from .test_asking import Picky

ANY = ScoreOptions(errors_allowed=ErrorLimit(share=1.0))


def scored(path: Path, ensemble: Servable = ENSEMBLE, **columns: Any) -> tuple[Any, Any]:
    """The results and the list of bad rows of one file, as tables."""
    columns = {"identity": "id", **columns}
    dataset = open_dataset([path], ensemble.signature, lenient=True, **columns)
    score(ensemble, dataset, path.parent / "out", ANY)
    return pq.read_table(path.parent / "out"), pq.read_table(path.parent / "out/_errors")


def parquet(path: Path) -> None:
    x = pa.array([[0.0, 0.0], None, [2.0, 2.0]], pa.list_(pa.float32()))
    pq.write_table(pa.table({"id": ["a", "b", "c"], "x": x}), path)


def npz(path: Path) -> None:
    np.savez(path, id=np.array(["a", "b", "c"]), x=np.array([[0, 0], [np.nan, 1], [2, 2]]))


def csv(path: Path) -> None:
    path.write_text("id,x_0,x_1\na,0,0\nb,one,1\nc,2,2\n")


def jsonl(path: Path) -> None:
    path.write_text('{"id": "a", "x": [0, 0]}\n{"id": "b", "x": [1]}\n{"id": "c", "x": [2, 2]}\n')


def tfrecord(path: Path) -> None:
    rows = {"a": [0.0, 0.0], "b": [1.0], "c": [2.0, 2.0]}
    records = ({"id": np.array([name]), "x": np.array(values)} for name, values in rows.items())
    path.write_bytes(b"".join(framed(example(record)) for record in records))


@pytest.mark.parametrize(
    ("name", "write"),
    [("a.parquet", parquet), ("a.npz", npz), ("a.csv", csv), ("a.jsonl", jsonl), ("a.tfrecord", tfrecord)],
)
def test_the_name_of_a_row_goes_with_it_whether_it_is_good_or_bad(
    name: str, write: Callable[[Path], None], tmp_path: Path
) -> None:
    write(tmp_path / name)
    good, bad = scored(tmp_path / name)
    assert good.column_names == ["source", "row", "id", "scores"]
    assert bad.column_names == ["source", "row", "id", "code", "message"]
    as_text = [value if isinstance(value, str) else value.decode() for value in good.column("id").to_pylist()]
    assert as_text == ["a", "c"]
    assert [
        value if isinstance(value, str) else value.decode() for value in bad.column("id").to_pylist()
    ] == ["b"]


def test_a_row_whose_name_cannot_be_read_is_listed_without_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 7, "x": [0, 0]}\n{"id": 8, "x"\n{"id": "nine", "x": [2]}\n')
    good, bad = scored(path)
    assert good.column("id").to_pylist() == [7]
    assert [(row["row"], row["id"], row["code"]) for row in bad.to_pylist()] == [
        (1, None, "parse"),
        (2, None, "shape"),
    ]


def test_a_row_that_a_member_refuses_is_listed_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, id=np.array([10, 11, 12]), x=np.array([[0, 0], [-1, 0], [2, 2]], np.float32))
    _, bad = scored(path, servable(Picky()), keep=("id",))
    assert [(row["row"], row["id"], row["code"]) for row in bad.to_pylist()] == [(1, 11, "member")]


def test_names_come_before_what_else_is_kept_and_are_not_kept_twice(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("y,id,x_0,x_1\n1,a,0,0\n2,b,1,\n")
    good, bad = scored(tmp_path / "a.csv", keep=("y", "id"))
    assert good.column_names == ["source", "row", "id", "y", "scores"]
    assert bad.column_names == ["source", "row", "id", "code", "message"]


def test_a_column_of_names_that_is_called_as_one_of_the_errors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("code,x_0,x_1\na,0,0\n")
    with pytest.raises(InvalidDataError, match=r"can't keep \['code'\]"):
        scored(tmp_path / "a.csv", identity="code")
