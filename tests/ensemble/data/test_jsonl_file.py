import json
from pathlib import Path

import pytest

from ensemble.data.dataset import open_dataset
from ensemble.errors import InvalidDataError
from ensemble.signature import Signature, TensorSpec

from .test_sifting import SIGNATURE, sifted


def test_each_line_is_judged_by_itself(tmp_path: Path) -> None:
    lines = [
        '{"x": [0, 0], "id": "a"}',
        '{"x": [1, 1',
        "",
        '{"x": [2, 2.0], "id": "2026-01-01"}',
        "[3, 3]",
        '{"id": "d"}',
        '{"x": [5, NaN]}',
        '{"x": [6, "six"]}',
        '{"x": [7]}',
        '{"id": "h", "x": [8, 8], "more": {"y": [1]}}',
        '{"x": [9, 9], "id": 9}',
        '{"x": [10, 10]}{"x": [10, 10]}',
        '{"x": [99999999999999999999, 1]}',
        '{"x": [12, 12], "more": 5}',
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    good, bad = sifted(tmp_path / "a.jsonl", 64, keep=("id",))
    assert good == [0, 2, 8, 9, 12]
    assert [(row.row, row.code) for row in bad] == [
        (1, "parse"), (3, "parse"), (4, "missing"), (5, "nan"), (6, "type"), (7, "shape"),
        (10, "parse"), (11, "type"),
    ]  # fmt: skip


def test_kept_values_stay_what_they_are(tmp_path: Path) -> None:
    rows = [{"x": [0, 0], "id": value} for value in ("2026-01-01", "007", None)]
    (tmp_path / "a.ndjson").write_text("\n".join(json.dumps(row) for row in rows))
    (chunk,) = open_dataset([tmp_path], SIGNATURE, keep=["id"]).batches(8)
    assert chunk.kept["id"].to_pylist() == ["2026-01-01", "007", None]


def test_text_is_handed_on_in_utf_8(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"x": "gr\\u00fcn"}\n{"x": ""}\n')
    signature = Signature((TensorSpec("x", "bytes", ()),), SIGNATURE.outputs)
    (chunk,) = open_dataset([tmp_path], signature).batches(8)
    assert chunk.rows["x"].tolist() == ["gr\u00fcn".encode(), b""]


def test_a_name_that_no_line_has_is_refused_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"z": [0, 0]}\n')
    with pytest.raises(InvalidDataError, match=r"has no column 'x'; it has \['z'\]"):
        open_dataset([tmp_path], SIGNATURE)
