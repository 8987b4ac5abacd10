"""Packed files: all of them, a part of them, and those that are made to do harm."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ensemble.data import jsonl_file
from ensemble.data.dataset import open_dataset
from ensemble.data.opening import EndsEarlyError, opened
from ensemble.errors import InvalidDataError
from ensemble.signature import Signature, TensorSpec

from .files import write_csv, write_jsonl, write_tfrecord
from .test_sifting import sifted

LINES = b"".join(b"%d,%d\n" % (number, number * number) for number in range(60_000))
SIGNATURE = Signature((TensorSpec("x", "float32", (2,)),), (TensorSpec("scores", "float32", (3,)),))
MIB = 1 << 20


def zstd(data: bytes) -> bytes:
    packed: bytes = pa.compress(data, codec="zstd", asbytes=True)
    return packed


PACKERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstd}


def members(data: bytes) -> bytes:
    """Several members, as `cat a.gz b.gz` makes them, and a tape's zeros behind them."""
    return gzip.compress(data[:1000]) + gzip.compress(b"") + gzip.compress(data[1000:]) + bytes(512)


@pytest.mark.parametrize(
    ("ending", "pack"), [*PACKERS.items(), (".gz", members)], ids=["gz", "zst", "members"]
)
def test_what_was_packed_comes_out(ending: str, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / f"a.csv{ending}"
    path.write_bytes(pack(LINES))
    with opened(path) as file:
        assert file.read() == LINES


@pytest.mark.parametrize("ending", PACKERS)
def test_a_file_that_ends_early_gives_what_there_is_and_says_so(ending: str, tmp_path: Path) -> None:
    path, pack = tmp_path / f"a.csv{ending}", PACKERS[ending](LINES)
    for length in (5, len(pack) // 2, len(pack) - 1):
        path.write_bytes(pack[:length])
        lines: list[bytes] = []
        with opened(path) as file, pytest.raises(EndsEarlyError, match="the packed file ends in it"):
            lines.extend(file)
        got = b"".join(lines)
        assert LINES.startswith(got)
        assert len(got) >= len(LINES) * length // len(pack) - 2**17


def test_an_empty_gzip_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(b"")
    with opened(tmp_path / "a.csv.gz") as file:
        assert file.read() == b""


@pytest.mark.parametrize("write", [write_csv, write_jsonl, write_tfrecord])
@pytest.mark.parametrize("ending", PACKERS)
def test_packed_rows_are_the_same_from_wherever_they_are_read(
    ending: str, write: Callable[..., Path], tmp_path: Path
) -> None:
    x = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    plain = write(tmp_path / "a", {"x": x})
    path = plain.rename(plain.with_name("plain"))
    path = plain.with_name(plain.name + ending)
    path.write_bytes(PACKERS[ending](plain.with_name("plain").read_bytes()))
    dataset = open_dataset([path], SIGNATURE)
    assert dataset.rows == 50
    for start in (0, 7, 49):
        chunks = list(dataset.batches(8, start))
        np.testing.assert_array_equal(np.concatenate([chunk.rows["x"] for chunk in chunks]), x[start:])


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz", "a.tfrecord.gz", "a.jsonl.zst"])
def test_a_packed_file_whose_bytes_are_damaged_is_refused(name: str, tmp_path: Path) -> None:
    pack = bytearray(PACKERS[Path(name).suffix](LINES))
    pack[len(pack) // 2] ^= 0xFF
    pack[4:8] = b"\xff\xff\xff\xff" if name.endswith(".zst") else pack[4:8]
    (tmp_path / name).write_bytes(pack)
    with pytest.raises(InvalidDataError, match=r"bytes are damaged|length is damaged|has no column"):
        sifted(tmp_path / name, 8)


def test_the_rows_before_the_end_are_good_and_that_in_which_it_ends_is_listed(tmp_path: Path) -> None:
    data = b"".join(b'{"x": [%d, %d]}\n' % (row, row) for row in range(20_000))
    packed = zlib.compressobj(wbits=31)
    # Flushed within a row, so what came out ends there.
    start = packed.compress(data[:-5]) + packed.flush(zlib.Z_SYNC_FLUSH)
    (tmp_path / "a.jsonl.gz").write_bytes(start)
    good, bad = sifted(tmp_path / "a.jsonl.gz", 256)
    assert good == list(range(19_999))
    assert [(row.row, row.code) for row in bad] == [(19_999, "cut")]
    with pytest.raises(InvalidDataError, match="row 19999: the packed file ends in it"):
        list(open_dataset([tmp_path / "a.jsonl.gz"], SIGNATURE).batches(256))


def bomb(size: int) -> bytes:
    """A line of so many bytes, in a thousandth of it."""
    packed = BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as file:
        for _ in range(size // MIB):
            file.write(b"1" * MIB)
        file.write(b"\n")
    return packed.getvalue()


def test_a_bomb_of_one_line_is_a_bad_row_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl_file, "ROW_BYTES_AT_MOST", 4 * MIB)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"x": [0, 0]}\n') + bomb(64 * MIB))
    tracemalloc.start()
    good, bad = sifted(tmp_path / "a.jsonl.gz", 8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (good, [(row.row, row.code) for row in bad]) == ([0], [(1, "size")])
    assert peak < 24 * MIB


def test_a_bomb_of_one_line_of_csv_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ensemble.data.csv_file.ROW_BYTES_AT_MOST", 4 * MIB)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"x_0,x_1\n1,2\n") + bomb(64 * MIB))
    tracemalloc.start()
    with pytest.raises(InvalidDataError, match=r"a\.csv\.gz: has a line of over 4,194,304 characters"):
        sifted(tmp_path / "a.csv.gz", 8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 56 * MIB


def test_a_packed_record_that_says_it_is_huge_is_refused(tmp_path: Path) -> None:
    record = (1 << 40).to_bytes(8, "little") + bytes(4)
    (tmp_path / "a.tfrecord.gz").write_bytes(gzip.compress(record))
    with pytest.raises(
        InvalidDataError, match="a record has 1,099,511,627,776 bytes; where files are packed"
    ):
        sifted(tmp_path / "a.tfrecord.gz", 8)
