"""Data files in a bucket behind a real S3 API: found, read in every format, refused once they change."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import obstore
import pytest
from obstore.store import S3Store

from ensemble.data.dataset import open_dataset
from ensemble.data.locations import Locations, local_path
from ensemble.data.paths import find_files
from ensemble.errors import InvalidDataError
from ensemble.signature import Signature, TensorSpec
from model_store.errors import ConflictError, StoreUnavailableError
from tests.support.s3 import S3Server, s3_server

from .files import WRITERS, Writer

SIGNATURE = Signature((TensorSpec("x", "float32", (2,)),), (TensorSpec("scores", "float32", (3,)),))
X = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture
def bucket(server: S3Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> S3Store:
    """A bucket for one test; its address is `s3://NAME`."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    name = f"b{abs(hash(request.node.name))}"
    server.make_bucket(name)
    return S3Store(name, client_options={"allow_http": True})


def address(bucket: S3Store) -> str:
    return f"s3://{bucket.config['bucket']}"


def put(bucket: S3Store, *keys: str) -> None:
    for key in keys:
        obstore.put(bucket, key, b"x\n")


def found(bucket: S3Store, *paths: str) -> list[str]:
    root = f"{address(bucket)}/"
    return [str(file).removeprefix(root) for file in find_files([root + path for path in paths], Locations())]


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_every_format_is_read_from_a_bucket(write: Writer, bucket: S3Store, tmp_path: Path) -> None:
    path = write(tmp_path / "a", {"x": X})
    obstore.put(bucket, f"in/{path.name}", path)
    dataset = open_dataset([f"{address(bucket)}/in"], SIGNATURE)
    assert [str(file) for file in dataset.files] == [f"{address(bucket)}/in/{path.name}"]
    for start in (0, 33):
        chunks = list(dataset.batches(7, start))
        np.testing.assert_array_equal(np.concatenate([chunk.rows["x"] for chunk in chunks]), X[start:])
    assert dataset.digest == open_dataset([path], SIGNATURE).digest


def test_prefixes_and_patterns_find_what_folders_would(bucket: S3Store) -> None:
    put(
        bucket,
        "in/b.csv",
        "in/a.csv.gz",
        "in/sub/c.csv",
        "in/_job/d.csv",
        "in/.e.csv",
        "in/f.txt",
        "input.csv",
    )
    assert found(bucket, "in") == found(bucket, "in/") == ["in/a.csv.gz", "in/b.csv", "in/sub/c.csv"]
    assert found(bucket, "") == ["in/a.csv.gz", "in/b.csv", "in/sub/c.csv", "input.csv"]
    assert found(bucket, "input.csv", "in/b.csv") == ["input.csv", "in/b.csv"]
    assert found(bucket, "in/*.csv") == ["in/b.csv"]
    assert found(bucket, "**/[bc].csv") == ["in/b.csv", "in/sub/c.csv"]
    assert found(bucket, "i?/*/*.csv") == ["in/sub/c.csv"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none", "no such file or pattern"),
        ("*.npz", "no such file or pattern"),
        ("a.txt", "known endings are"),
    ],
)
def test_what_is_no_data_is_refused(path: str, message: str, bucket: S3Store) -> None:
    put(bucket, "a.txt")
    with pytest.raises(InvalidDataError, match=message):
        found(bucket, path)


@pytest.mark.parametrize("text", ["http://host/a.csv", "s3://", "s3://me@bucket/a.csv", "file://host/a.csv"])
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(InvalidDataError, match="can't be read; use a path, file:///absolute/path, s3://"):
        find_files([text], Locations())


def test_a_file_address_is_a_path() -> None:
    assert local_path("file:///data/a%20b.csv") == Path("/data/a b.csv")
    assert local_path("data/a.csv") == Path("data/a.csv")
    assert local_path("s3://bucket/a.csv") is None


@pytest.mark.parametrize("name", ["parquet flat", "csv", "npz", "jsonl"])
def test_a_file_that_changes_while_it_is_read_is_refused(name: str, bucket: S3Store, tmp_path: Path) -> None:
    path = WRITERS[name](tmp_path / "a", {"x": X})
    obstore.put(bucket, path.name, path)
    dataset = open_dataset([f"{address(bucket)}/{path.name}"], SIGNATURE, lenient=True)
    obstore.put(bucket, path.name, WRITERS[name](tmp_path / "b", {"x": X + 1}))
    with pytest.raises(ConflictError, match="changed since the job began: begin anew"):
        list(dataset.sifted(dataset.cursor(8), 0, 50))
    obstore.delete(bucket, path.name)
    with pytest.raises(ConflictError, match="changed since the job began: begin anew"):
        list(dataset.sifted(dataset.cursor(8), 0, 50))


@pytest.mark.parametrize("name", ["parquet flat", "arrow", "csv", "npz", "jsonl", "tfrecord"])
def test_a_bucket_that_cannot_be_reached_makes_no_bad_rows(
    name: str, bucket: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = WRITERS[name](tmp_path / "a", {"x": X})
    obstore.put(bucket, path.name, path)
    dataset = open_dataset([f"{address(bucket)}/{path.name}"], SIGNATURE, lenient=True)

    def fail(*_: object, **__: object) -> None:
        raise OSError("nobody answers")

    monkeypatch.setattr(obstore, "get", fail)
    with pytest.raises(StoreUnavailableError, match="nobody answers"):
        list(dataset.sifted(dataset.cursor(8), 0, 50))
