"""Versions: published, read back, rolled back, labelled and retired."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from model_store.errors import (
    ConflictError,
    EnsembleNotFoundError,
    InvalidNameError,
    StoreCorruptError,
    StoreUnavailableError,
    VersionNotFoundError,
)
from model_store.store import Store, utc_now
from tests.model_store.disks import files_below
from tests.model_store.drafts import HALVES, draft_in, noon, publish
from tests.support.places import blob_file, root_of, store_in


def test_a_version_is_published_and_read_back(store: Store) -> None:
    draft = draft_in(store, weights={"forest": 0.25, "sepconv": 0.75}, evidence={"loss": 0.125})

    entry = store.publish("digits", draft, by="ann", why="first")

    assert (entry.seq, entry.op, entry.version, entry.prev) == (1, "publish", 1, None)
    assert (entry.at, entry.by, entry.why) == ("2026-03-01T12:00:00Z", "ann", "first")
    assert store.ensembles() == ["digits"]
    assert store.current("digits") == 1
    assert store.versions("digits") == [1]
    assert store.head("digits") == entry
    assert store.entries("digits") == [entry]
    manifest = store.manifest("digits")
    assert (manifest.ensemble, manifest.version, manifest.draft) == ("digits", 1, draft)
    assert store.weights(manifest) == {"forest": 0.25, "sepconv": 0.75}
    assert store.read_blob("digits", manifest.members[1].blob) == b"the forest's bytes"
    assert blob_file(store, "digits", manifest.members[1].blob).read_bytes() == b"the forest's bytes"


def test_the_layout_is_the_one_that_other_releases_read(store: Store) -> None:
    publish(store)
    manifest = store.manifest("digits")
    digests = sorted(ref.digest for ref in manifest.draft.blobs)

    assert files_below(root_of(store) / "ensembles" / "digits") == {
        "journal/00000000000000000001.json",
        "versions/1/manifest.json",
        *(f"blobs/sha256/{digest[:2]}/{digest}" for digest in digests),
    }


def test_nothing_is_made_before_the_first_put(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))

    assert store.head("digits") is None
    assert store.entries("digits") == []
    with pytest.raises(StoreUnavailableError, match="store' doesn't exist; publish into it first"):
        store.ensembles()
    with pytest.raises(
        EnsembleNotFoundError, match=r"no ensemble 'digits': the store's folder .* doesn't exist"
    ):
        store.current("digits")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_ensemble_is_told_with_those_there_are(store: Store) -> None:
    publish(store, "fraud")

    for read in (store.current, store.versions, store.labels, store.manifest):
        with pytest.raises(
            EnsembleNotFoundError, match=r"no ensemble 'digits' in '.*'; it holds \['fraud'\]"
        ):
            read("digits")
    with pytest.raises(EnsembleNotFoundError):
        store.rollback("digits", 1, by="ann", why="x")


@pytest.mark.parametrize("name", ["../digits", "a.b", "", "a/b"])
def test_a_name_that_is_a_path_is_refused_everywhere(store: Store, name: str) -> None:
    draft = draft_in(store)

    with pytest.raises(InvalidNameError):
        store.head(name)
    with pytest.raises(InvalidNameError):
        store.put_blob(name, b"x")
    with pytest.raises(InvalidNameError):
        store.publish(name, draft, by="ann", why="x")


def test_folders_that_are_no_ensembles_are_not_listed(store: Store) -> None:
    publish(store)
    store.put_blob("unfinished", b"bytes, but no version")
    (root_of(store) / "ensembles" / "lost+found").mkdir()

    assert store.ensembles() == ["digits"]
    assert store.begun() == ["digits", "unfinished"]


def test_a_second_version_names_the_one_before(store: Store) -> None:
    publish(store)

    entry = publish(store, forest=0.25)

    assert (entry.seq, entry.version, entry.prev) == (2, 2, 1)
    assert store.weights(store.manifest("digits", 1)) == HALVES
    assert store.weights(store.manifest("digits")) == {"forest": 0.25, "sepconv": 0.75}


def test_an_older_version_is_made_current_again_and_nothing_is_deleted(store: Store) -> None:
    publish(store)
    publish(store)

    entry = store.rollback("digits", 1, by="bob", why="too slow")

    assert (entry.seq, entry.op, entry.version, entry.prev, entry.by) == (3, "rollback", 1, 2, "bob")
    assert store.current("digits") == 1
    assert store.manifest("digits").version == 1
    assert store.versions("digits") == [1, 2]


def test_the_version_after_a_rollback_has_a_new_number(store: Store) -> None:
    publish(store)
    publish(store)
    store.rollback("digits", 1, by="ann", why="x")

    assert publish(store).version == 3


def test_a_rollback_to_no_version_or_to_the_current_one_is_refused(store: Store) -> None:
    publish(store)
    publish(store)

    with pytest.raises(VersionNotFoundError, match=r"ensemble 'digits' has no version 7; it has \[1, 2\]"):
        store.rollback("digits", 7, by="ann", why="x")
    with pytest.raises(ConflictError, match=r"version 2 of 'digits' is current already; others are \[1\]"):
        store.rollback("digits", 2, by="ann", why="x")
    assert len(store.entries("digits")) == 2


def test_a_rollback_to_a_version_whose_bytes_are_gone_is_refused(store: Store) -> None:
    publish(store, forest=0.25)
    publish(store)
    weights = store.manifest("digits", 1).draft.weights
    blob_file(store, "digits", weights).unlink()

    with pytest.raises(StoreCorruptError, match=f"blob {weights.digest} is missing"):
        store.rollback("digits", 1, by="ann", why="x")
    assert store.current("digits") == 2


def test_a_label_moves_in_one_step_and_leaves_what_is_current(store: Store) -> None:
    publish(store)
    publish(store)

    store.label("digits", "stable", 1, by="ann", why="tested")
    assert store.labels("digits") == {"stable": 1}
    entry = store.label("digits", "stable", 2, by="ann", why="tested")

    assert (entry.op, entry.label, entry.version, entry.prev) == ("label", "stable", 2, 2)
    assert store.labels("digits") == {"stable": 2}
    assert store.current("digits") == 2
    with pytest.raises(VersionNotFoundError):
        store.label("digits", "stable", 9, by="ann", why="x")
    with pytest.raises(InvalidNameError):
        store.label("digits", "9", 1, by="ann", why="x")


def test_a_manifest_changed_behind_the_store_s_back_is_corrupt(store: Store) -> None:
    publish(store)
    path = root_of(store) / "ensembles" / "digits" / "versions" / "1" / "manifest.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"yes"', b'"YES"'))

    with pytest.raises(StoreCorruptError, match="was changed after it was published"):
        store.manifest("digits")


def test_a_version_that_no_entry_names_was_never_published(store: Store) -> None:
    publish(store)
    orphan = root_of(store) / "ensembles" / "digits" / "versions" / "2"
    orphan.mkdir()
    (orphan / "manifest.json").write_bytes(b"{}")

    assert store.versions("digits") == [1]
    with pytest.raises(VersionNotFoundError):
        store.manifest("digits", 2)


def test_the_time_is_utc_in_seconds_whatever_the_clock_s_zone(tmp_path: Path) -> None:
    east = timezone(timedelta(hours=2))
    store = Store.open(str(tmp_path), clock=lambda: datetime(2026, 3, 1, 1, 30, 15, 999999, tzinfo=east))

    assert publish(store).at == "2026-02-28T23:30:15Z"
    assert utc_now().tzinfo is UTC


def test_a_clock_that_jumps_back_doesn_t_matter(store: Store) -> None:
    publish(store)
    early = store_in(root_of(store), lambda: noon() - timedelta(days=400))

    publish(early)

    assert [entry.at[:4] for entry in store.entries("digits")] == ["2026", "2025"]
    assert store.current("digits") == 2


def test_versions_share_the_bytes_of_their_members(store: Store) -> None:
    publish(store)
    before = len(files_below(root_of(store)))

    publish(store, forest=0.25)

    # A refit adds its weights, a manifest and a journal entry.
    assert len(files_below(root_of(store))) == before + 3


def test_a_retired_version_is_not_listed_read_or_made_current_again(store: Store) -> None:
    publish(store)
    publish(store)

    entry = store.retire("digits", 1, by="ann", why="old")

    assert (entry.op, entry.version, entry.current) == ("retire", 1, 2)
    assert store.versions("digits") == [2]
    with pytest.raises(VersionNotFoundError, match=r"no version 1; it has \[2\]"):
        store.manifest("digits", 1)
    with pytest.raises(VersionNotFoundError):
        store.rollback("digits", 1, by="ann", why="x")
    with pytest.raises(VersionNotFoundError):
        store.retire("digits", 1, by="ann", why="again")
    assert publish(store).version == 3


def test_what_is_current_or_has_a_label_is_not_retired(store: Store) -> None:
    publish(store)
    publish(store)
    store.label("digits", "stable", 1, by="ann", why="x")

    with pytest.raises(ConflictError, match="version 2 of 'digits' is current, so it stays; move on"):
        store.retire("digits", 2, by="ann", why="x")
    with pytest.raises(ConflictError, match=r"version 1 of 'digits' has the labels \['stable'\]"):
        store.retire("digits", 1, by="ann", why="x")
