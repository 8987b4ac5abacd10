"""Data files in a bucket are found by prefix, and read from any place as they were when they were found."""

import io

import obstore
import pytest
from obstore.store import MemoryStore

from model_store.bucket_data import DataBucket
from model_store.errors import ConflictError

BYTES = bytes(range(256)) * 8


@pytest.fixture(name="bucket")
def fixture_bucket() -> DataBucket:
    client = MemoryStore()
    for key in ("rows/b.csv.gz", "rows/a.npy", "other.npy"):
        obstore.put(client, key, BYTES)
    return DataBucket(client, "memory://data")


def test_files_below_a_prefix_are_told_in_order(bucket: DataBucket) -> None:
    assert [str(file) for file in bucket.below("rows")] == [
        "memory://data/rows/a.npy",
        "memory://data/rows/b.csv.gz",
    ]
    assert [file.key for file in bucket.below("")] == ["other.npy", "rows/a.npy", "rows/b.csv.gz"]


def test_a_file_has_a_paths_names(bucket: DataBucket) -> None:
    file = bucket.file("rows/b.csv.gz")

    assert file is not None
    assert (file.name, file.stem, file.suffix, file.size) == ("b.csv.gz", "b.csv", ".gz", 2048)


def test_a_file_that_is_not_there_is_none(bucket: DataBucket) -> None:
    assert bucket.file("rows/c.npy") is None


def test_it_is_read_from_any_place(bucket: DataBucket) -> None:
    found = bucket.file("other.npy")
    assert found is not None

    with found.open() as file:
        assert file.seek(-3, io.SEEK_END) == 2045
        assert file.read() == b"\xfd\xfe\xff"
        assert file.read(1) == b""
        assert file.seek(256) == 256
        assert file.read(2) == b"\x00\x01"
        assert file.seek(2, io.SEEK_CUR) == file.tell() == 260
        assert file.read() == BYTES[260:]


@pytest.mark.parametrize("change", [obstore.put, lambda client, key, _data: obstore.delete(client, key)])
def test_a_file_that_changed_since_it_was_found_is_not_read(bucket: DataBucket, change: object) -> None:
    found = bucket.file("other.npy")
    assert found is not None
    change(bucket.client, "other.npy", b"others")  # type: ignore[operator]

    with (
        found.open() as file,
        pytest.raises(ConflictError, match=r"other\.npy: changed since the job began: begin anew"),
    ):
        file.read()


def test_a_service_without_etags_is_believed(bucket: DataBucket) -> None:
    with bucket.known("other.npy", 4, "").open() as file:
        assert file.read() == BYTES[:4]


def test_connecting_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody listens there.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_REGION", "us-east-1")

    file = DataBucket.connect("s3", "models").known("rows/a.npy", 4, "")

    assert str(file) == "s3://models/rows/a.npy"
