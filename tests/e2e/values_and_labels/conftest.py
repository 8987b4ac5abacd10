"""Three ensembles, of a value, of several values and of labels, and commands on a copy of their store."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from model_store.store import Store
from server.cli.main import application
from tests.e2e.values_and_labels.published import LABELS, VALUES, Call
from tests.support.other_kinds import Made, make_labels, make_several_values, make_values


@pytest.fixture(scope="session")
def values(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The members of "sugar"."""
    return make_values(tmp_path_factory.mktemp("values"))


@pytest.fixture(scope="session")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The members of "topics"."""
    return make_labels(tmp_path_factory.mktemp("labels"))


@pytest.fixture(scope="session")
def several(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The members of "forces"."""
    return make_several_values(tmp_path_factory.mktemp("several"))


@pytest.fixture(scope="session", name="published_once")
def fixture_published_once(
    tmp_path_factory: pytest.TempPathFactory, values: Made, labels: Made, several: Made
) -> Path:
    """Three ensembles, weighed alike: "sugar", "topics" and "forces"."""
    store = tmp_path_factory.mktemp("published") / "store"
    application()(["publish", "sugar", *values.members, "--store", str(store)])
    words = ["--classes", ",".join(LABELS), "--store", str(store)]
    application()(["publish", "topics", *labels.members, *words])
    words = ["--classes", ",".join(VALUES), "--store", str(store)]
    kinds = [f"--output-kind={name}=values" for name in several.files]
    application()(["publish", "forces", *several.members, *kinds, *words])
    return store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published_once: Path) -> Store:
    """A copy of them that the test may change."""
    store = Store.open(str(shutil.copytree(published_once, tmp_path / "store")))
    monkeypatch.setenv("UNISONO_STORE", store.address)
    return store


@pytest.fixture
def call(store: Store, capsys: pytest.CaptureFixture[str]) -> Call:
    """Type a command; return its exit code and what it printed, read as JSON if that was asked for."""

    def run(*words: object) -> tuple[int, Any]:
        assert store.address
        capsys.readouterr()
        code = application()([str(word) for word in words])
        text = capsys.readouterr().out
        return code, json.loads(text) if "json" in words else text

    return run
