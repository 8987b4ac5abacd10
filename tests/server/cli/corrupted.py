"""Files of every format with corrupted rows in them, and what is to be said of each row."""

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from tests.ensemble.data.files import example, framed
from tests.ensemble.data.test_damage import flip

X = np.random.default_rng(5).normal(size=(12, 3)).astype(np.float32)
Bad = tuple[str, int, str, str]  # the file, the row, the code, how the message begins


@dataclass
class Written:
    """What is in the files: the rows that are good, in order, and the bad ones."""

    good: list[tuple[str, int, NDArray[np.float32]]] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)

    def all_but(self, name: str, bad: Sequence[tuple[int, str, str]], rows: NDArray[np.float32] = X) -> None:
        """Every row of a file is good, but for these."""
        numbers = {row for row, _, _ in bad}
        self.good += [(name, row, values) for row, values in enumerate(rows) if row not in numbers]
        self.bad += [(name, *told) for told in bad]


def lists(values: list[Any]) -> Any:
    return pa.table({"x": pa.array(values, pa.list_(pa.float32()))})


def spoilt() -> list[Any]:
    """The rows as lists: one is missing, one has a NaN, one an infinity, one is too short."""
    values: list[Any] = X.tolist()
    values[1], values[2][0], values[3][1], values[4] = None, float("nan"), float("inf"), [1.0]
    return values


SPOILT = [
    (1, "missing", "'x' is missing"),
    (2, "nan", "'x' is NaN"),
    (3, "scores", "the ensemble's scores of it aren't finite"),
    (4, "shape", "a row of 'x' has shape [1], the ensemble takes [3]"),
]


def parquet(folder: Path) -> Written:
    """Of the second row group, the page's bytes are damaged."""
    path = folder / "a.parquet"
    pq.write_table(lists(spoilt()), path, row_group_size=6, use_dictionary=False, write_page_checksum=True)
    column = pq.read_metadata(path).row_group(1).column(0)
    flip(path, column.data_page_offset + column.total_compressed_size - 8, 4)
    written = Written()
    lost = [
        (row, "damaged", "can't be read as Parquet, nor the rest of its row group") for row in range(6, 12)
    ]
    written.all_but("a.parquet", [*SPOILT, *lost])
    return written


def arrow(folder: Path, name: str = "a.arrow") -> Written:
    """The second record batch can't be unpacked."""
    table = lists(spoilt())
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_file(folder / name, table.schema, options=options) as file:
        file.write_table(table, max_chunksize=6)
    flip(folder / name, (folder / name).read_bytes().rindex(b"\x04\x22\x4d\x18"), 4)
    written = Written()
    lost = [
        (row, "damaged", "can't be read as Arrow, nor the rest of its record batch") for row in range(6, 12)
    ]
    written.all_but(name, [*SPOILT, *lost])
    return written


def feather(folder: Path) -> Written:
    return arrow(folder, "a.feather")


CSV_BAD = [
    (1, "parse", "column 'x_1' can't be read"),
    (2, "missing", "'x_0' is missing"),
    (3, "columns", "has 2 values, the header 3 names"),
    (4, "scores", "the ensemble's scores of it aren't finite"),
    (5, "parse", "column 'x_2' can't be read"),
]


def csv_bytes() -> bytes:
    lines = [b",".join(str(value).encode() for value in row.tolist()) for row in X]
    lines[1:6] = [b"1,one,1", b"nan,1,1", b"1,2", b"1,inf,1", b"1,1,\xff"]
    return b"x_0,x_1,x_2\n" + b"\n".join(lines) + b"\n"


def csv(folder: Path) -> Written:
    """The file ends in its last row."""
    (folder / "a.csv").write_bytes(csv_bytes()[: csv_bytes().rindex(b",")])
    written = Written()
    written.all_but("a.csv", [*CSV_BAD, (11, "columns", "has 2 values, the header 3 names")])
    return written


JSONL_BAD = [
    (1, "parse", "isn't JSON"),
    (2, "nan", "'x' is NaN"),
    (3, "shape", "a row of 'x' has shape [2], the ensemble takes [3]"),
    (4, "scores", "the ensemble's scores of it aren't finite"),
    (5, "parse", "isn't a JSON object"),
    (6, "missing", "'x' is missing"),
    (7, "parse", "isn't JSON"),
]


def jsonl_bytes() -> bytes:
    lines = [json.dumps({"x": row.tolist()}).encode() for row in X]
    lines[1:4] = [b"{'x'", b'{"x": [1, NaN, 1]}', b'{"x": [1, 1]}']
    lines[4:8] = [b'{"x": [1, 1, Infinity]}', b"[1, 1, 1]", b'{"y": 1}', b'{"x": "\xff"}']
    return b"\n".join(lines) + b"\n"


def jsonl(folder: Path, name: str = "a.jsonl") -> Written:
    """The file ends in its last row."""
    (folder / name).write_bytes(jsonl_bytes()[:-3])
    written = Written()
    written.all_but(name, [*JSONL_BAD, (11, "parse", "isn't JSON")])
    return written


def ndjson(folder: Path) -> Written:
    return jsonl(folder, "a.ndjson")


def not_finite() -> NDArray[np.float32]:
    values = X.copy()
    values[2, 0], values[3, 1] = np.nan, np.inf
    return values


NOT_FINITE = [(2, "nan", "'x' is NaN"), (3, "scores", "the ensemble's scores of it aren't finite")]


def npy(folder: Path) -> Written:
    """The file ends in its last row."""
    np.save(folder / "a.npy", not_finite())
    (folder / "a.npy").write_bytes((folder / "a.npy").read_bytes()[:-2])
    written = Written()
    written.all_but("a.npy", [*NOT_FINITE, (11, "cut", "the file ends before it is whole")])
    return written


def npz(folder: Path) -> Written:
    """A whole archive, and one whose bytes don't fit their CRC."""
    np.savez(folder / "a.npz", x=not_finite())
    np.savez(folder / "b.npz", x=X)
    flip(folder / "b.npz", (folder / "b.npz").read_bytes().index(X[4].tobytes()), 1)
    written = Written()
    written.all_but("a.npz", NOT_FINITE)
    written.all_but("b.npz", [(row, "damaged", "array 'x' is damaged") for row in range(12)])
    return written


TFRECORD_BAD = [
    (1, "crc", "its bytes don't fit their CRC"),
    (2, "nan", "'x' is NaN"),
    (3, "scores", "the ensemble's scores of it aren't finite"),
    (4, "parse", "isn't a tf.Example"),
    (5, "shape", "a row of 'x' has shape [1], the ensemble takes [3]"),
]


def tfrecord_bytes() -> bytes:
    records = [framed(example({"x": row})) for row in not_finite()]
    records[1] = records[1][:-6] + bytes([records[1][-6] ^ 1]) + records[1][-5:]
    records[4], records[5] = framed(b"\xff\xff"), framed(example({"x": X[5, :1]}))
    return b"".join(records)


def tfrecord(folder: Path) -> Written:
    """The file ends in its last row."""
    (folder / "a.tfrecord").write_bytes(tfrecord_bytes()[:-3])
    written = Written()
    written.all_but("a.tfrecord", [*TFRECORD_BAD, (11, "cut", "the file ends in it")])
    return written


def images(folder: Path) -> Written:
    """A folder of PNG files: one is no image, one ends too early, one has another size."""
    pixels = np.random.default_rng(6).integers(0, 256, (12, 1, 3), np.uint8)
    for row, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{row:02}.png")
    (folder / "02.png").write_bytes(b"no image")
    (folder / "05.png").write_bytes((folder / "05.png").read_bytes()[:45])
    Image.fromarray(np.zeros((3, 1), np.uint8)).save(folder / "07.png")
    written = Written()
    bad = [
        (2, "parse", "02.png can't be decoded"),
        (5, "parse", "05.png can't be decoded"),
        (7, "shape", "07.png is 1 x 3 pixels, the ensemble takes 3 x 1"),
    ]
    written.all_but("", bad, pixels.astype(np.float32))
    return written


def packed(folder: Path, name: str, data: bytes, bad: Sequence[tuple[int, str, str]]) -> Written:
    """The packed file ends within its checksum."""
    (folder / name).write_bytes(gzip.compress(data)[:-1])
    written = Written()
    written.all_but(name, bad)
    return written


ENDS = "the packed file ends in it"


def csv_gz(folder: Path) -> Written:
    """All rows come out; that there are no more can't be known."""
    written = packed(folder, "a.csv.gz", csv_bytes(), CSV_BAD)
    written.bad.append(("a.csv.gz", 12, "cut", ENDS))
    return written


def jsonl_gz(folder: Path) -> Written:
    written = packed(folder, "a.jsonl.gz", jsonl_bytes(), JSONL_BAD)
    written.bad.append(("a.jsonl.gz", 12, "cut", ENDS))
    return written


def tfrecord_gz(folder: Path) -> Written:
    written = packed(folder, "a.tfrecord.gz", tfrecord_bytes(), TFRECORD_BAD)
    written.bad.append(("a.tfrecord.gz", 12, "cut", "the file ends in it"))
    return written


def jsonl_zst(folder: Path) -> Written:
    """A row is spoilt, and nothing is missing."""
    (folder / "a.jsonl.zst").write_bytes(pa.compress(jsonl_bytes(), codec="zstd", asbytes=True))
    written = Written()
    written.all_but("a.jsonl.zst", JSONL_BAD)
    return written


Case = Callable[[Path], Written]
CASES: tuple[Case, ...] = (
    parquet,
    arrow,
    feather,
    csv,
    jsonl,
    ndjson,
    npy,
    npz,
    tfrecord,
    images,
    csv_gz,
    jsonl_gz,
    tfrecord_gz,
    jsonl_zst,
)
