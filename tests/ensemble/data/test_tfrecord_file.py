from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.data.dataset import open_dataset
from ensemble.data.tf_example import features
from ensemble.errors import InvalidDataError
from ensemble.signature import Signature, TensorSpec

from .files import example, framed
from .test_sifting import sifted

# Written by tf.io.TFRecordWriter of TensorFlow 2.21.
BY_TENSORFLOW = bytes.fromhex(
    "4700000000000000bac3fb9b0a450a0f0a02696412090a070a05726f7720300a080a046e6f6e6512000a150a016e12101a0e0a0cac02"
    "ffffffffffffffffff010a110a0178120c120a0a080000c03f000000c079bd6533"
)
X = TensorSpec("x", "float32", (2,))
N = TensorSpec("n", "int64", (2,))
SCORES = (TensorSpec("scores", "float32", (3,)),)


def rows(count: int) -> list[bytes]:
    """Records with `x` [n, n] and an `id`."""
    return [
        framed(example({"x": np.full(2, row, np.float32), "id": np.array([f"row {row}"])}))
        for row in range(count)
    ]


def test_what_tensorflow_wrote_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.tfrecord").write_bytes(BY_TENSORFLOW)
    (chunk,) = open_dataset([tmp_path], Signature((X, N), SCORES), keep=["id"]).batches(8)
    assert chunk.rows["x"].tolist() == [[1.5, -2.0]]
    assert chunk.rows["n"].tolist() == [[300, -1]]
    assert chunk.kept["id"].to_pylist() == [b"row 0"]


def test_values_that_are_not_packed_are_read_too() -> None:
    floats = bytes([0x0D]) + np.float32(1.5).tobytes() + bytes([0x0D]) + np.float32(2.5).tobytes()
    integers = bytes([0x08, 7, 0x08, 0xAC, 0x02])
    for kind, content, expected in ((2, floats, [1.5, 2.5]), (3, integers, [7, 300])):
        feature = bytes([kind << 3 | 2, len(content)]) + content
        entry = bytes([0x0A, 1]) + b"x" + bytes([0x12, len(feature)]) + feature
        body = bytes([0x0A, len(entry)]) + entry
        assert list(features(bytes([0x0A, len(body)]) + body)["x"]) == expected


@given(st.binary(max_size=60))
def test_any_bytes_are_an_example_or_refused(data: bytes) -> None:
    with suppress(InvalidDataError):
        assert isinstance(features(data), dict)


def test_a_damaged_record_is_one_bad_row(tmp_path: Path) -> None:
    records = rows(6)
    records[2] = records[2][:-10] + bytes([records[2][-10] ^ 1]) + records[2][-9:]
    records[4] = framed(b"\xff\xff")
    records[5] = framed(example({"id": np.array(["no x"])}))
    (tmp_path / "a.tfrecord").write_bytes(b"".join(records))
    good, bad = sifted(tmp_path / "a.tfrecord", 8, keep=("id",))
    assert good == [0, 1, 3]
    assert [(row.row, row.code) for row in bad] == [(2, "crc"), (4, "parse"), (5, "missing")]


@pytest.mark.parametrize("at", [0, 8])
def test_a_damaged_length_is_refused_with_its_row(at: int, tmp_path: Path) -> None:
    records = [bytearray(record) for record in rows(3)]
    records[1][at] ^= 1
    (tmp_path / "a.tfrecord").write_bytes(b"".join(records))
    with pytest.raises(InvalidDataError, match=r"a\.tfrecord: row 1: its length is damaged"):
        sifted(tmp_path / "a.tfrecord", 8)


@pytest.mark.parametrize("less", [1, 6, 30])
def test_the_record_in_which_the_file_ends_is_one_bad_row(less: int, tmp_path: Path) -> None:
    (tmp_path / "a.tfrecord").write_bytes(b"".join(rows(3))[:-less])
    good, bad = sifted(tmp_path / "a.tfrecord", 8)
    assert good == [0, 1]
    assert [(row.row, row.code, row.message) for row in bad] == [
        (2, "cut", "the file ends in it: write it again")
    ]


def test_the_first_bytes_of_another_record_are_one_bad_row_too(tmp_path: Path) -> None:
    (tmp_path / "a.tfrecord").write_bytes(b"".join(rows(2)) + rows(1)[0][:5])
    good, bad = sifted(tmp_path / "a.tfrecord", 1)
    assert (good, [(row.row, row.code) for row in bad]) == ([0, 1], [(2, "cut")])


@pytest.mark.parametrize("data", [rows(1)[0][:5], b"certainly not a TFRecord"])
def test_a_file_that_is_no_tfrecord_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tfrecord").write_bytes(data)
    with pytest.raises(
        InvalidDataError, match=r"row 0: its length is damaged, .* or this is no TFRecord file"
    ):
        sifted(tmp_path / "a.tfrecord", 8)


def test_only_features_of_one_value_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a.tfrecord").write_bytes(rows(1)[0])
    with pytest.raises(InvalidDataError, match="'x' has 2 values; one can be kept"):
        sifted(tmp_path / "a.tfrecord", 8, keep=("x",))
