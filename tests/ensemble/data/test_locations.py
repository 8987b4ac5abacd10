"""Data files in a bucket behind a real S3 API: found, read in every format, refused once they change."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import obstore
import pytest
from obstore.store import S3Store

from ensemble.data import fetching
from ensemble.data.dataset import open_dataset
from ensemble.data.folders import RemoteFolder
from ensemble.data.locations import Locations, Seen, local_path
from ensemble.data.paths import find_files
from ensemble.errors import InvalidDataError
from ensemble.signature import Signature, TensorSpec
from model_store.errors import ConflictError, StoreUnavailableError
from tests.support.s3 import S3Server, s3_server

from .files import WRITERS, Writer
from .test_image_folder import pixels, write

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


IMAGE = Signature((TensorSpec("x", "uint8", (2, 3)),), SIGNATURE.outputs)


def put_images(bucket: S3Store, folder: Path, *names: str) -> list[np.ndarray]:
    """Put images of 3 x 2 pixels into the bucket, and into the folder; return their pixels."""
    values = [pixels(seed, 2, 3) for seed in range(len(names))]
    for name, value in zip(names, values, strict=True):
        obstore.put(bucket, f"in/{name}", write(folder / name, value))
    return values


def test_a_folder_of_images_is_the_data_set_that_it_is_on_disk(bucket: S3Store, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    values = put_images(bucket, folder, "b/1.png", "b-/1.PNG", "a/2.jpg.png", "a/_x/3.png", ".b/4.png")
    put(bucket, "in/notes.txt", "in/b/.DS_Store", "input/1.png")
    options = {"label": "class", "classes": ["a", "b", "b-"], "keep": ["file"]}
    there = open_dataset([f"{address(bucket)}/in"], IMAGE, **options)  # type: ignore[arg-type]
    here = open_dataset([folder], IMAGE, **options)  # type: ignore[arg-type]
    assert [str(file) for file in there.files] == [f"{address(bucket)}/in/"]
    assert there.digest == here.digest
    (found,), (expected,) = there.batches(8), here.batches(8)
    assert found.kept["file"].to_pylist() == ["a/2.jpg.png", "b-/1.PNG", "b/1.png"]
    assert found.kept["file"].equals(expected.kept["file"])
    assert found.labels is not None
    assert found.labels.tolist() == [0, 2, 1]
    np.testing.assert_array_equal(found.rows["x"], np.stack([values[2], values[1], values[0]]))


def test_where_there_are_data_files_images_are_none_but_a_pattern_takes_both(
    bucket: S3Store, tmp_path: Path
) -> None:
    put_images(bucket, tmp_path, "1.png", "2.png")
    assert found(bucket, "in") == ["in/"]
    put(bucket, "in/a.csv")
    assert found(bucket, "in") == ["in/a.csv"]
    assert found(bucket, "in/*") == ["in/1.png", "in/2.png", "in/a.csv"]
    assert found(bucket, "in/2.png") == ["in/2.png"]
    (image,) = open_dataset([f"{address(bucket)}/in/2.png"], IMAGE, keep=["file"]).batches(8)
    assert image.kept["file"].to_pylist() == ["2.png"]


def test_an_image_that_changes_or_goes_while_its_folder_is_read_is_refused(
    bucket: S3Store, tmp_path: Path
) -> None:
    put_images(bucket, tmp_path, *(f"{number}.png" for number in range(4)))
    for change in (obstore.put, lambda client, key, _: obstore.delete(client, key)):
        dataset = open_dataset([f"{address(bucket)}/in"], IMAGE, lenient=True)
        change(bucket, "in/2.png", b"other")
        with pytest.raises(ConflictError, match=r"in/2\.png: changed since the job began: begin anew"):
            list(dataset.sifted(dataset.cursor(8), 0, 4))


@pytest.mark.parametrize("change", ["none", "one more", "one less", "another"])
def test_a_folder_is_found_again_as_it_was_or_not_at_all(
    change: str, bucket: S3Store, tmp_path: Path
) -> None:
    put_images(bucket, tmp_path, "1.png", "2.png")
    (folder,) = find_files([f"{address(bucket)}/in"], Locations())
    seen = Seen.of(folder)
    if change == "none":
        put(bucket, "in/notes.txt")
        again = Locations().known(seen.address, seen.size, seen.etag)
        assert isinstance(again, RemoteFolder)
        assert [str(image) for image in again.images] == [f"{address(bucket)}/in/{n}.png" for n in (1, 2)]
        return
    if change == "one less":
        obstore.delete(bucket, "in/1.png")
    else:
        put(bucket, "in/3.png" if change == "one more" else "in/1.png")
    with pytest.raises(ConflictError, match="/in/: its images changed since the job began: begin anew"):
        Locations().known(seen.address, seen.size, seen.etag)


def test_a_bucket_that_fails_makes_no_image_a_bad_row(
    bucket: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_images(bucket, tmp_path, "1.png", "2.png")
    dataset = open_dataset([f"{address(bucket)}/in"], IMAGE, lenient=True)

    def fail(*_: object, **__: object) -> None:
        raise OSError("nobody answers")

    monkeypatch.setattr(obstore, "get", fail)
    with pytest.raises(StoreUnavailableError, match="nobody answers"):
        list(dataset.sifted(dataset.cursor(8), 0, 2))


def test_an_image_of_which_the_first_bytes_say_enough_is_read_no_further(
    bucket: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = write(tmp_path / "1.png", pixels(0, 2, 3)).read_bytes() + bytes(3 << 20)
    obstore.put(bucket, "in/1.png", large)
    obstore.put(bucket, "in/2.png", write(tmp_path / "2.png", pixels(0, 3, 2)).read_bytes() + bytes(3 << 20))
    asked, get = list[tuple[int, int]](), obstore.get

    def watched(*args: Any, options: Any) -> Any:
        asked.append(options["range"])
        return get(*args, options=options)

    monkeypatch.setattr(obstore, "get", watched)
    monkeypatch.setattr(fetching, "WHOLE_AT_MOST", 1 << 20)
    dataset = open_dataset([f"{address(bucket)}/in"], IMAGE, lenient=True)
    ((chunks, bad),) = dataset.sifted(dataset.cursor(8), 0, 2)
    assert [len(chunk.rows["x"]) for chunk in chunks] == [1]
    assert [(row.row, row.code) for row in bad] == [(1, "shape")]
    assert max(stop for _, stop in asked) <= 1 << 20
