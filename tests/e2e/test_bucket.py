"""Every command that names a store, on one in a bucket behind a real S3 API."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_store.store import Store
from server.cli.demonstration.server_process import serving
from server.wire.client import Client
from tests.conftest import Unisono
from tests.model_store.disks import files_below
from tests.support.s3 import s3_server

pytestmark = pytest.mark.slow

STORE = "s3://models/team/store"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with s3_server() as server:
        variables = {
            **server.environment,
            "UNISONO_CACHE_FOLDER": str(tmp_path / "cache"),
            "UNISONO_STORE": STORE,
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield


@pytest.mark.usefixtures("bucket")
def test_every_command_works_on_a_store_in_a_bucket(
    small_members: Path, unisono: Unisono, tmp_path: Path
) -> None:
    for _ in range(2):
        unisono(
            "publish", "digits", "--member", f"forest={small_members / 'forest.onnx'}", "--publish-id=one"
        )
    listed = json.loads(unisono("list", "-o", "json").stdout)
    assert (listed["store"], [row["name"] for row in listed["ensembles"]]) == (STORE, ["digits"])

    data = ("--data", small_members / "validation.npz", "--label", "label", "--force", "--why", "try")
    unisono("refit", "digits", *data)
    unisono("label", "digits", "stable", "1")
    unisono("rollback", "digits", "1", "--why", "enough")
    steps = [
        entry["op"] for entry in json.loads(unisono("history", "digits", "-o", "json").stdout)["entries"]
    ]
    assert sorted(steps) == ["label", "publish", "publish", "rollback"]
    assert json.loads(unisono("inspect", "digits", "-o", "json").stdout)["labels"] == ["stable"]
    assert "whole" in unisono("verify").stdout

    unisono("score", "digits", "--input", small_members / "test.npz", "--output", tmp_path / "scores")
    assert (tmp_path / "scores" / "_SUCCESS.json").exists()
    assert any("sha256" in key for key in files_below(tmp_path / "cache"))

    unisono("rollback", "digits", "2", "--why", "or not")
    unisono("label", "digits", "stable", "2")
    cleared = json.loads(unisono("gc", "--keep", "1", "-o", "json").stdout)
    assert cleared["retired"] == [{"name": "digits", "version": 1}]
    with serving(STORE, tmp_path / "serve.log") as server, Client(server.address) as client:
        assert client.healthy()
    assert Store.open(STORE).versions("digits") == [2]
