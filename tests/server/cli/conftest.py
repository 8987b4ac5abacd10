"""A store with a history, and a way to type commands at it."""

from pathlib import Path
from typing import Any

import pytest

from model_store.store import Store
from server.cli.main import application
from tests.server.cli.published import store_with_history
from tests.support.flowers import publish_uniform, write_rows


@pytest.fixture(name="store")
def fixture_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    store = store_with_history(tmp_path)
    monkeypatch.setenv("UNISONO_STORE", store.address)
    return store


@pytest.fixture(name="call")
def fixture_call(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command line; return its exit code and what it printed, no rules, runs of blanks as one."""

    def run(*words: str) -> tuple[int, str]:
        code = application()(list(words))
        return code, " ".join(capsys.readouterr().out.replace("─", "").split())

    return run


@pytest.fixture(name="folder")
def fixture_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of flowers, and the rows to refit it with: val.npz, test.npz."""
    monkeypatch.setenv("UNISONO_STORE", str(tmp_path / "store"))
    publish_uniform(Store.open(str(tmp_path / "store")), tmp_path)
    write_rows(tmp_path / "val.npz")
    write_rows(tmp_path / "test.npz", seed=1)
    return tmp_path
