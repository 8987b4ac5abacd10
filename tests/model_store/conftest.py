"""The places that the contract of the store is tested in."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from model_store.bucket_client import connect
from model_store.store import Store
from tests.model_store.drafts import noon
from tests.model_store.places import QUICK, BucketPlace, FolderPlace, Place
from tests.support.places import store_in
from tests.support.s3 import BUCKET, S3Server, s3_server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3 server for tests that leave it running."""
    with s3_server() as server:
        yield server


@pytest.fixture
def in_s3(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> BucketPlace:
    """A prefix of its own in a bucket behind a real S3 API, which the environment now names."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return BucketPlace(replace(connect("s3", BUCKET, f"tests/{secrets.token_hex(8)}"), leases=QUICK))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store in a folder, at noon."""
    return store_in(tmp_path / "store", noon)


@pytest.fixture(params=["folder", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each kind of place in turn."""
    if request.param == "folder":
        return FolderPlace(tmp_path / "store")
    if request.param == "memory":
        return BucketPlace.in_memory()
    found: BucketPlace = request.getfixturevalue("in_s3")
    return found
