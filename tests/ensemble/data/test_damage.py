"""Files with damaged bytes: what is lost, and that it doesn't depend on how the file is read."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ensemble.data.dataset import Dataset, open_dataset
from ensemble.errors import InvalidDataError
from ensemble.signature import Signature, TensorSpec

SIGNATURE = Signature((TensorSpec("x", "float32", (2,)),), (TensorSpec("scores", "float32", (3,)),))
ROWS = 4000
X = np.random.default_rng(3).normal(size=(ROWS, 2)).astype(np.float32)
TABLE = pa.table({"x": pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 2)})


def flip(path: Path, start: int, count: int = 16) -> None:
    data = np.fromfile(path, np.uint8)
    data[start : start + count] ^= 0xFF
    data.tofile(path)


def parquet(path: Path, group: int) -> Path:
    """Row groups of 1,000 rows in pages with CRCs; a page in the middle of one is damaged."""
    pages = {
        "data_page_size": 1000,
        "write_page_checksum": True,
        "use_dictionary": False,
        "write_batch_size": 50,
    }
    pq.write_table(TABLE, path, row_group_size=1000, **pages)
    column = pq.read_metadata(path).row_group(group).column(0)
    flip(path, column.data_page_offset + column.total_compressed_size // 2)
    return path


def arrow(path: Path, compression: str | None = "lz4") -> Path:
    with pa.ipc.new_file(path, TABLE.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as file:
        file.write_table(TABLE, max_chunksize=1000)
    return path


def read(
    dataset: Dataset, rows: int, start: int = 0, stop: int = ROWS
) -> tuple[list[int], list[int], set[str]]:
    """The good rows, whose values are checked; the bad ones; their codes."""
    good: list[int] = []
    bad: list[int] = []
    codes: set[str] = set()
    for chunks, unfit in dataset.sifted(dataset.cursor(rows), start, stop):
        for chunk in chunks:
            numbers = chunk.row_numbers.tolist()
            np.testing.assert_array_equal(chunk.rows["x"], X[numbers])
            good += numbers
        bad += [row.row for row in unfit]
        codes |= {row.code for row in unfit}
    return good, bad, codes


def opened(path: Path) -> Dataset:
    return open_dataset([path], SIGNATURE, lenient=True)


@pytest.mark.parametrize("rows", [1, 3, 256, 5000])
def test_of_a_parquet_row_group_what_lies_before_the_damaged_page_is_good(rows: int, tmp_path: Path) -> None:
    dataset = opened(parquet(tmp_path / "a.parquet", 1))
    good, bad, codes = read(dataset, rows)
    assert codes == {"damaged"}
    # Half of the group's pages, and whole pages: how many rows are in one is Arrow's affair.
    assert 1300 < bad[0] < 1700
    assert bad == list(range(bad[0], 2000))
    assert good == [*range(bad[0]), *range(2000, ROWS)]


def test_where_the_rows_are_read_from_changes_nothing(tmp_path: Path) -> None:
    dataset = opened(parquet(tmp_path / "a.parquet", 1))
    good, bad, _ = read(dataset, 100)
    for start in (999, 1000, bad[0] - 1, bad[0], bad[0] + 1, 1999, 2000):
        assert read(dataset, 70, start, 2050)[:2] == (
            [row for row in good if start <= row < 2050],
            [row for row in bad if start <= row],
        )


def test_a_parquet_file_whose_footer_is_damaged_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", 1)
    flip(path, path.stat().st_size - 60, 40)
    with pytest.raises(InvalidDataError, match=r"a\.parquet: can't be read as Parquet"):
        opened(path)


def test_a_refit_refuses_what_scoring_lists(tmp_path: Path) -> None:
    for path in (parquet(tmp_path / "a.parquet", 0), arrow(tmp_path / "b.arrow")):
        if path.suffix == ".arrow":
            flip(path, path.stat().st_size // 2)
        with pytest.raises(InvalidDataError, match="can't be read as"):
            list(open_dataset([path], SIGNATURE).batches(64))


@pytest.mark.parametrize("rows", [1, 7, 5000])
def test_an_arrow_record_batch_that_cannot_be_unpacked_is_lost_with_its_rows(
    rows: int, tmp_path: Path
) -> None:
    path = arrow(tmp_path / "a.arrow")
    # The first bytes of a frame of LZ4, which are in the second of four batches.
    frames = path.read_bytes().split(b"\x04\x22\x4d\x18")
    flip(path, sum(len(part) + 4 for part in frames[:2]) - 4, 4)
    good, bad, codes = read(opened(path), rows)
    assert (good, bad, codes) == (
        [*range(1000), *range(2000, ROWS)],
        list(range(1000, 2000)),
        {"damaged"},
    )


def test_offsets_that_point_anywhere_are_no_rows(tmp_path: Path) -> None:
    table = pa.table({"x": [[float(row), 1.0] for row in range(8)]})
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as file:
        file.write_table(table, max_chunksize=4)
    offsets = np.array([0, 2, 4, 6, 8], np.int32).tobytes()
    at = (tmp_path / "a.arrow").read_bytes().index(offsets)
    flip(tmp_path / "a.arrow", at + 12, 4)
    dataset = opened(tmp_path / "a.arrow")
    (found,) = dataset.sifted(dataset.cursor(4), 0, 4)
    assert [row.code for row in found[1]] == ["damaged"] * 4
    (rest,) = dataset.sifted(dataset.cursor(4), 4, 8)
    assert rest[0][0].rows["x"][:, 0].tolist() == [4, 5, 6, 7]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_archive_whose_crc_is_wrong_has_no_good_row(save: object, tmp_path: Path) -> None:
    save(tmp_path / "a.npz", x=X)  # type: ignore[operator]
    flip(tmp_path / "a.npz", 20_000, 4)
    good, bad, codes = read(opened(tmp_path / "a.npz"), 300)
    assert (good, bad, codes) == ([], list(range(ROWS)), {"damaged"})


def test_of_an_array_that_is_cut_short_the_whole_rows_are_good(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    data = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(data[: -10 * 8 - 1])
    for rows in (7, 5000):
        good, bad, codes = read(opened(tmp_path / "a.npy"), rows)
        assert (good, bad, codes) == (list(range(ROWS - 11)), list(range(ROWS - 11, ROWS)), {"cut"})


def test_of_one_that_lies_column_by_column_none_is_whole(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.asfortranarray(X))
    data = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(data[:-1])
    good, bad, codes = read(opened(tmp_path / "a.npy"), 300)
    assert (good, bad, codes) == ([], list(range(ROWS)), {"cut"})
