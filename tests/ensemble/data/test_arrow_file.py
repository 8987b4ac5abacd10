from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import feather

from ensemble.errors import InvalidDataError

from .test_sifting import sifted


@pytest.mark.parametrize("compression", ["uncompressed", "lz4"])
def test_bad_rows_of_a_feather_file_fail_alone(compression: str, tmp_path: Path) -> None:
    table = pa.table({"id": list("abcde"), "x": [[0.0, 0.0], None, [2.0, 2.0], [3.0, None], [4.0, 4.0]]})
    feather.write_feather(table, tmp_path / "a.feather", compression=compression, chunksize=2)
    good, bad = sifted(tmp_path / "a.feather", 3, keep=("id",))
    assert good == [0, 2, 4]
    assert [(row.row, row.code) for row in bad] == [(1, "missing"), (3, "missing")]


def test_a_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.arrow").write_bytes(b"ARROW1\0\0 but not really")
    with pytest.raises(InvalidDataError, match=r"a\.arrow: can't be read as an Arrow IPC file: "):
        sifted(tmp_path / "a.arrow", 8)
