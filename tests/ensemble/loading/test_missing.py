"""With a quorum a version is loaded without members that can't be; what was learned for that is told."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble.errors import GoldenMismatchError, MemberError
from ensemble.loading.golden import Golden
from ensemble.loading.load import Runtimes, load_servable
from ensemble.loading.missing import learned_without
from ensemble.publishing.publish import PublishOptions, publish
from model_store.errors import StoreCorruptError
from model_store.store import Store
from tests.support.onnx_models import write_constant
from tests.support.places import blob_file

ROWS = {"x": np.zeros((1, 4), np.float32)}
SCORES = {"one": [0.5, 0.5], "two": [0.25, 0.75], "three": [1.0, 0.0]}
WEIGHTS = {"one": 0.5, "two": 0.5, "three": 0.0}


@pytest.fixture(name="store")
def fixture_store(tmp_path: Path) -> Store:
    """Ensemble "digits" of three constants; "three" weighs nothing."""
    files = {name: tmp_path / f"{name}.onnx" for name in SCORES}
    for name, path in files.items():
        write_constant(path, SCORES[name])
    store = Store.open(str(tmp_path / "store"))
    publish(store, "digits", files, PublishOptions(weights=WEIGHTS))
    return store


def spoil(store: Store, *names: str) -> None:
    """Make members unreadable."""
    for record in store.manifest("digits").members:
        if record.name in names:
            path = blob_file(store, "digits", record.blob)
            path.chmod(0o600)
            path.write_bytes(b"x")


def test_with_a_quorum_a_version_is_loaded_without_a_member(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(store, "one")

    servable = load_servable(store, "digits", runtimes=Runtimes(quorum=1))

    assert servable.absent == {"one"}
    assert "member one can't be loaded, and is served without: blob " in caplog.text
    [absent] = (member for member in servable.members if member.name == "one")
    with pytest.raises(MemberError, match="member 'one' could not be loaded: blob "):
        absent.predict(ROWS)


@pytest.mark.parametrize(
    ("gone", "quorum"), [(("one",), 0), (("one",), 2), (("one",), 3), (("one", "two"), 1), (("three",), 0)]
)
def test_too_few_members_are_no_version(store: Store, gone: tuple[str, ...], quorum: int) -> None:
    spoil(store, *gone)

    with pytest.raises(StoreCorruptError, match="has 1 bytes"):
        load_servable(store, "digits", runtimes=Runtimes(quorum=quorum))


def test_a_member_that_weighs_nothing_may_be_missing_from_any_quorum(store: Store) -> None:
    spoil(store, "three")

    assert load_servable(store, "digits", runtimes=Runtimes(quorum=2)).absent == {"three"}


def test_members_that_are_there_are_compared_with_what_they_gave(store: Store) -> None:
    golden = Golden.read(store, store.manifest("digits"))
    assert golden is not None
    moved = {name: scores + np.float32(name == "two") for name, scores in golden.members.items()}
    kept = Golden(golden.rows, moved, golden.scores).put(store, "digits")
    store.publish("digits", replace(store.manifest("digits").draft, golden=kept), by="", why="")
    spoil(store, "one")

    with pytest.raises(GoldenMismatchError, match="member 'two' of version 2 of 'digits'"):
        load_servable(store, "digits", runtimes=Runtimes(quorum=1))


LINEAR = {"form": "linear"}


@pytest.mark.parametrize(
    ("told", "learned"),
    [
        ({"one": {"weights": {"one": 0, "two": 1, "three": 0}, "pool": LINEAR}}, {"one": {"two": 1.0}}),
        # Not without it at all.
        ({"one": {"weights": {"one": 1, "two": 0, "three": 0}, "pool": LINEAR}}, {}),
        # No numbers, no sum of one, members left out, a pool that nobody knows.
        ({"one": {"weights": {"one": "much", "two": 1, "three": 0}, "pool": LINEAR}}, {}),
        ({"one": {"weights": {"one": 0, "two": 1, "three": 1}, "pool": LINEAR}}, {}),
        ({"one": {"weights": {"two": 1}, "pool": LINEAR}}, {}),
        ({"one": {"weights": {"one": 0, "two": 1, "three": 0}, "pool": {"form": "new"}}}, {}),
        ({"four": {"weights": {"one": 0, "two": 1, "three": 0}, "pool": LINEAR}}, {}),
        (None, {}),
    ],
)
def test_what_was_learned_without_a_member_is_read_as_far_as_it_can_be(
    store: Store, told: Any, learned: dict[str, dict[str, float]]
) -> None:
    draft = replace(store.manifest("digits").draft, evidence={"without": told})
    store.publish("digits", draft, by="", why="")

    found = learned_without(store.manifest("digits"))

    assert {
        name: {member: weight for member, weight in pool.weights.by_member.items() if weight}
        for name, pool in found.items()
    } == learned
