"""A store with a history, and a way to type commands at it."""

from pathlib import Path
from typing import Any

import pytest

from model_store.store import Store
from server.cli.main import application
from tests.server.cli.published import store_with_history


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
