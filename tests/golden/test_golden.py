"""Stores that released versions wrote keep loading, and keep giving the same scores."""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from model_store.errors import VersionNotFoundError
from model_store.garbage import collect
from model_store.store import Store
from model_store.verify import verify
from tests.golden.write import NAME, scores
from tests.model_store.disks import files_below
from tests.support.places import root_of

RELEASES = sorted(path.parent for path in Path(__file__).parent.glob("*/store"))


@pytest.fixture(params=RELEASES, ids=lambda path: path.name)
def release(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.param
    return folder


@pytest.fixture
def store(release: Path) -> Store:
    return Store.open(str(release / "store"))


def test_there_is_a_store_of_a_release() -> None:
    assert [path.name for path in RELEASES][:1] == ["0.1"]


def test_every_byte_is_what_the_journal_says(store: Store) -> None:
    report = verify(store.layout(NAME))

    assert report.findings == []
    assert (report.entries, report.versions) == (7, 3)


def test_the_journal_adds_up(store: Store) -> None:
    ops = [entry.op for entry in store.entries(NAME)]

    assert ops == ["publish", "publish", "publish", "publish", "rollback", "label", "retire"]
    assert [entry.publish_id for entry in store.entries(NAME)][:3] == [None, "nightly", None]
    assert (store.current(NAME), store.versions(NAME), store.labels(NAME)) == (2, [1, 2, 4], {"stable": 1})
    with pytest.raises(VersionNotFoundError):
        store.manifest(NAME, 3)


def test_every_version_gives_the_scores_it_gave(store: Store, release: Path) -> None:
    kept = json.loads((release / "scores.json").read_text())

    assert list(kept) == ["1", "2", "4"]
    for version, expected in kept.items():
        np.testing.assert_allclose(scores(store, int(version)), expected, atol=2e-6)


def test_it_is_published_into_and_cleared_as_if_it_were_new(release: Path, tmp_path: Path) -> None:
    shutil.copytree(release / "store", tmp_path / "store")
    store = Store.open(str(tmp_path / "store"))
    before = files_below(root_of(store))

    entry = store.publish(NAME, store.manifest(NAME, 1).draft, by="bob", why="next")
    collected = collect(store.layout(NAME), store.clock(), timedelta(0))

    assert (entry.seq, entry.version, entry.prev) == (8, 5, 2)
    # The weights of the retired version are nobody else's; nor are its golden scores, where there are any.
    alone = 1 if release.name == "0.1" else 2
    assert len(collected) == alone
    assert len(files_below(root_of(store))) == len(before) + 2 - alone
    assert verify(store.layout(NAME)).findings == []
