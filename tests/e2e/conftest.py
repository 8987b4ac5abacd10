"""A store and a server for each end-to-end test, of its own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from obstore.store import S3Store

from server.cli.demonstration.server_process import ServerProcess, serving
from tests.support.s3 import BUCKET, s3_server


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have servers refuse nobody for a slow machine's pace: what they refuse for is for other tests."""
    monkeypatch.setenv("UNISONO_SERVE_MAX_QUEUE_WAIT_MS", "3600000")


@pytest.fixture
def store(published: Path, tmp_path: Path) -> Path:
    """A copy of the published store that the test may change."""
    return shutil.copytree(published, tmp_path / "store")


@pytest.fixture
def server(store: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server of `store` in its own process, ended with the test."""
    with serving(str(store), tmp_path / "serve.log", ["--poll-interval-secs", "0.1"]) as process:
        yield process


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Store]:
    """The bucket of a service that is there for the test alone, and that child processes find too."""
    with s3_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield S3Store(BUCKET, client_options={"allow_http": True})
