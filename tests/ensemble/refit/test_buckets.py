"""Refits on rows in a bucket, behind a real S3 API."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import obstore
import pytest
from obstore.store import S3Store

from ensemble.data.labelled import open_labelled
from ensemble.executors.inline import InlineExecutor
from ensemble.executors.process import ProcessExecutor
from ensemble.refit.job import RefitJob
from ensemble.truth import Truth
from model_store.errors import ConflictError
from model_store.store import Store
from server.cli.main import application
from tests.support.flowers import NAME, SIGNATURE, publish_uniform, write_rows
from tests.support.s3 import BUCKET, S3Server, s3_server

DATA, TEST = f"s3://{BUCKET}/val/*.npz", f"s3://{BUCKET}/test.npz"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("flowers")
    publish_uniform(Store.open(str(made / "store")), made)
    (made / "val").mkdir()
    write_rows(made / "val/a.npz", 300)
    write_rows(made / "val/b.npz", 200, seed=1)
    write_rows(made / "test.npz", 100, seed=2)
    return made


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture
def bucket(server: S3Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """The rows, in a bucket too."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    client = S3Store(BUCKET, client_options={"allow_http": True})
    for key in ("val/a.npz", "val/b.npz", "test.npz"):
        obstore.put(client, key, folder / key)
    return client


@pytest.mark.usefixtures("bucket")
def test_rows_in_a_bucket_give_the_weights_and_the_evidence_of_rows_on_disk(folder: Path) -> None:
    on_disk = RefitJob(
        str(folder / "store"), NAME, (folder / "val",), (str(folder / "test.npz"),), dry_run=True
    )
    in_bucket = replace(on_disk, data=(DATA,), test=(TEST,))
    ours, theirs = in_bucket.opened().run(None).learned, on_disk.opened().run(None).learned
    assert ours.after == theirs.after
    assert ours.validation.digest == theirs.validation.digest
    assert ours.test == theirs.test
    by_others = replace(in_bucket, executor=ProcessExecutor(2), cache=folder / "cache")
    assert by_others.opened().run(None).learned.after == theirs.after


@pytest.mark.usefixtures("bucket")
def test_the_command_takes_addresses_in_buckets(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for data, test in ((DATA, TEST), (str(folder / "val"), str(folder / "test.npz"))):
        words = ["refit", NAME, "--data", data, "--test", test, "--dry-run", "-o", "json"]
        assert application()([*words, "--store", str(folder / "store")], result_action="return_value") == 0
        told.append(json.loads(capsys.readouterr().out))
    assert told[0]["weights"] == told[1]["weights"]
    assert told[0]["validation"] == told[1]["validation"]


@pytest.mark.parametrize("executor", [None, InlineExecutor()], ids=["here", "by workers"])
def test_rows_that_are_written_anew_while_a_refit_runs_are_refused(
    executor: InlineExecutor | None, bucket: S3Store, folder: Path, tmp_path: Path
) -> None:
    other = write_rows(tmp_path / "other.npz", 200, seed=3)

    def change(rows: int) -> None:
        if rows == 0:
            obstore.put(bucket, "val/b.npz", other)

    job = RefitJob(str(folder / "store"), NAME, (DATA,), dry_run=True, executor=executor)
    with pytest.raises(ConflictError, match=r"val/b\.npz: changed since the job began: begin anew"):
        job.opened().run(change)


def test_labels_and_values_are_read_from_a_bucket_too(bucket: S3Store, folder: Path) -> None:
    with np.load(folder / "val/a.npz") as arrays:
        x, y = arrays["x"], np.eye(3)[arrays["y"]]
    np.savez(folder / "labels.npz", x=x, y=y)
    obstore.put(bucket, "labels.npz", folder / "labels.npz")
    for truth in (Truth.LABELS, Truth.VALUES):
        data = open_labelled([f"s3://{BUCKET}/labels.npz"], SIGNATURE, "y", truth=truth)
        (chunk,) = data.batches(300)
        assert np.array_equal(np.asarray(chunk.labels), y)
