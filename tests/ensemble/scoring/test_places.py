"""Jobs whose output is in a bucket, behind a real S3 API, and jobs that die at any of their writes."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import obstore
import pyarrow.parquet as pq
import pytest
from obstore.store import S3Store

from ensemble.errors import InvalidDataError, TooManyErrorRowsError
from ensemble.scoring.places import BucketPlace, FolderPlace, place_at
from ensemble.scoring.run import ErrorLimit, ScoreOptions, ScoreResult, score
from model_store.bucket import Bucket
from tests.support.s3 import BUCKET, S3Server, s3_server

from .jobs import ENSEMBLE, dataset_of, features, tree


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture
def client(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return S3Store(BUCKET, client_options={"allow_http": True})


@pytest.fixture
def output(client: S3Store, tmp_path: Path) -> str:
    """The address of a prefix for one test."""
    assert client is not None
    return f"s3://{BUCKET}/{tmp_path.name}/scores"


def keys(client: S3Store, output: str) -> dict[str, bytes]:
    """What `tree` gives of a folder."""
    prefix = output.removeprefix(f"s3://{BUCKET}/")
    found = [meta["path"] for page in obstore.list(client, prefix) for meta in page]
    return {
        key.removeprefix(f"{prefix}/"): bytes(obstore.get(client, key).bytes())
        for key in sorted(found)
        if "/done/" not in key
    }


def rows_with_a_bad_one(folder: Path) -> Path:
    x = features(20)
    x[7] = np.nan
    np.savez(folder / "a.npz", x=x)
    return folder / "a.npz"


OPTIONS = ScoreOptions(part_rows=8, errors_allowed=ErrorLimit(1))


def job(path: Path, output: str | Path, options: ScoreOptions = OPTIONS) -> ScoreResult:
    return score(ENSEMBLE, dataset_of(path), output, options)


def test_a_bucket_gets_what_a_folder_would(client: S3Store, output: str, tmp_path: Path) -> None:
    path = rows_with_a_bad_one(tmp_path)
    with pytest.raises(TooManyErrorRowsError, match=f"{output}/_errors lists them"):
        job(path, output, ScoreOptions(part_rows=8))
    assert "_SUCCESS.json" not in keys(client, output)
    result = job(path, output)
    assert (result.rows, result.failed, result.done_before) == (19, 1, 20)
    job(path, tmp_path / "out")
    assert keys(client, output) == tree(tmp_path / "out")
    assert job(path, output).already_done
    table = pq.read_table(tmp_path / "out")
    assert table.num_rows == 19


class DiedError(Exception):
    """The process is gone."""


@pytest.mark.parametrize("written", [False, True], ids=["before it is written", "after it is written"])
def test_a_job_that_dies_at_any_write_ends_with_the_same_bytes(
    written: bool, client: S3Store, output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rows_with_a_bad_one(tmp_path)
    job(path, tmp_path / "out")
    create, deaths = Bucket.create, 0
    for last in count():
        writes = iter(range(last + 1))

        def dying(bucket: Bucket, key: str, data: bytes, role: str) -> bool:
            if next(writes) < last:  # noqa: B023 - used up before the next turn
                return create(bucket, key, data, role)
            if written:
                create(bucket, key, data, role)
            raise DiedError

        one = f"{output}{last}"
        with monkeypatch.context() as patched:
            patched.setattr(Bucket, "create", dying)
            try:
                job(path, one)
            except DiedError:
                deaths += 1
            else:
                break
        job(path, one)
        assert keys(client, one) == tree(tmp_path / "out")
    # The plan, three parts and a list of errors, three markers, the end.
    assert deaths == 9


def test_a_part_that_is_there_with_other_bytes_is_not_taken_for_ours(
    client: S3Store, output: str, tmp_path: Path
) -> None:
    path = rows_with_a_bad_one(tmp_path)
    job(path, output)
    prefix = output.removeprefix(f"s3://{BUCKET}/")
    obstore.delete(client, f"{prefix}/_SUCCESS.json")
    obstore.put(client, f"{prefix}/part-00001.parquet", b"other scores")
    with pytest.raises(InvalidDataError, match=r"part-00001.parquet: is gone or has changed"):
        job(path, output)
    obstore.delete(client, f"{prefix}/_job/done/1.json")
    with pytest.raises(InvalidDataError, match=r"part-00001.parquet: isn't what its rows score to now"):
        job(path, output)
    obstore.delete(client, f"{prefix}/part-00001.parquet")
    assert job(path, output).done_before == 12


def test_a_part_that_is_gone_is_made_again(client: S3Store, output: str, tmp_path: Path) -> None:
    path = rows_with_a_bad_one(tmp_path)
    job(path, output)
    whole = keys(client, output)
    prefix = output.removeprefix(f"s3://{BUCKET}/")
    obstore.delete(client, [f"{prefix}/_SUCCESS.json", f"{prefix}/part-00002.parquet"])
    job(path, output)
    assert keys(client, output) == whole


def test_another_job_and_what_no_job_wrote_are_refused(client: S3Store, output: str, tmp_path: Path) -> None:
    path = rows_with_a_bad_one(tmp_path)
    job(path, output)
    with pytest.raises(InvalidDataError, match=r"holds the results of another job \(version differ\)"):
        score(replace(ENSEMBLE, version=2), dataset_of(path), output, OPTIONS)
    with pytest.raises(InvalidDataError, match="what is in a bucket isn't overwritten: name another prefix"):
        job(path, output, replace(OPTIONS, overwrite=True))
    obstore.put(client, f"{output.removeprefix(f's3://{BUCKET}/')}-notes/readme.txt", b"mine")
    with pytest.raises(InvalidDataError, match="isn't empty and holds no scoring job"):
        job(path, f"{output}-notes")


def test_an_input_in_a_bucket_that_was_written_anew_makes_another_job(
    client: S3Store, output: str, tmp_path: Path
) -> None:
    path, key = rows_with_a_bad_one(tmp_path), f"{tmp_path.name}/in/a.npz"
    obstore.put(client, key, path)
    dataset = dataset_of(f"s3://{BUCKET}/{key}")  # type: ignore[arg-type]
    assert score(ENSEMBLE, dataset, output, OPTIONS).rows == 19
    np.savez(path, x=features(20))
    obstore.put(client, key, path)
    again = dataset_of(f"s3://{BUCKET}/{key}")  # type: ignore[arg-type]
    with pytest.raises(InvalidDataError, match=r"holds the results of another job \(files differ\)"):
        score(ENSEMBLE, again, output, OPTIONS)


def test_addresses_name_folders_and_buckets(tmp_path: Path) -> None:
    assert place_at(tmp_path) == place_at(f"file://{tmp_path}") == FolderPlace(tmp_path)
    bucket = place_at("s3://models/a/b/")
    assert isinstance(bucket, BucketPlace)
    assert (bucket.where(), bucket.where("_job/plan.json")) == (
        "s3://models/a/b",
        "s3://models/a/b/_job/plan.json",
    )
