import os
from datetime import timedelta
from pathlib import Path

import pytest

from model_store.durable import TEMP_PREFIX
from model_store.errors import StoreCorruptError, StoreUnavailableError
from model_store.garbage import collect, surplus
from model_store.journal import History
from model_store.manifest import BlobRef
from model_store.store import Store
from model_store.verify import verify
from tests.model_store.disks import Died, QuickDisk, dying_disk, files_below
from tests.model_store.drafts import draft_in, noon
from tests.support.places import blob_file, root_of, store_in

HOUR = timedelta(hours=1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = store_in(tmp_path, noon, QuickDisk())
    store.publish("digits", draft_in(store), by="ann", why="x")
    age_all(store, 48)
    return store


def age_all(store: Store, hours: float) -> None:
    """Make every file as old as that."""
    at = (noon() - hours * HOUR).timestamp()
    for path in root_of(store).rglob("*"):
        os.utime(path, (at, at), follow_symlinks=False)


def loose_blob(store: Store, hours: float, data: bytes = b"nobody's") -> BlobRef:
    """Put a blob that no version names, that long ago."""
    ref = store.put_blob("digits", data)
    at = (noon() - hours * HOUR).timestamp()
    os.utime(blob_file(store, "digits", ref), (at, at))
    return ref


def test_what_a_version_names_stays_however_old(store: Store) -> None:
    before = files_below(root_of(store))

    assert collect(store.layout("digits"), noon(), 0 * HOUR) == []
    assert files_below(root_of(store)) == before


def test_bytes_that_no_version_names_go_once_they_are_old(store: Store) -> None:
    before = files_below(root_of(store))
    old = loose_blob(store, 25)
    young = loose_blob(store, 23, b"a publisher in flight")

    (removed,) = collect(store.layout("digits"), noon())

    assert (removed.name, removed.size) == (old.digest, 8)
    assert files_below(root_of(store)) - before == {
        str(blob_file(store, "digits", young).relative_to(root_of(store)))
    }


def test_a_dry_run_says_what_would_go(store: Store) -> None:
    old = loose_blob(store, 25)

    (garbage,) = collect(store.layout("digits"), noon(), dry_run=True)

    assert garbage.where == str(blob_file(store, "digits", old))


def test_bytes_put_again_are_young_again(store: Store) -> None:
    ref = loose_blob(store, 25)
    store.put_blob("digits", b"nobody's")

    assert collect(store.layout("digits"), noon()) == []
    assert store.read_blob("digits", ref) == b"nobody's"


def test_what_publishers_that_died_left_goes_and_their_numbers_stay_taken(store: Store) -> None:
    for number in range(1, 80):
        dying = store_in(root_of(store), noon, dying_disk(number))
        try:
            dying.publish(
                "digits", draft_in(dying, weights={"forest": 0.1, "sepconv": 0.9}), by="ann", why="x"
            )
        except Died:
            continue
        break
    age_all(store, 25)
    assert any(TEMP_PREFIX in name for name in files_below(root_of(store)))

    collect(store.layout("digits"), noon())

    left = files_below(root_of(store))
    assert not any(TEMP_PREFIX in name for name in left)
    assert verify(store.layout("digits")).findings == []
    taken = store.layout("digits").versions.taken()
    assert store.publish("digits", draft_in(store), by="ann", why="x").version == taken[-1] + 1


def test_nothing_goes_if_what_is_needed_cannot_be_known(store: Store) -> None:
    old = loose_blob(store, 25)
    (root_of(store) / "ensembles" / "digits" / "versions" / "1" / "manifest.json").unlink()

    with pytest.raises(StoreCorruptError, match="is missing"):
        collect(store.layout("digits"), noon())
    assert store.read_blob("digits", old) == b"nobody's"


def test_files_of_others_and_links_stay(store: Store, tmp_path: Path) -> None:
    folder = root_of(store) / "ensembles" / "digits"
    (folder / "README").write_text("mine")
    (folder / ("a" * 64)).write_text("named like a blob, but no blob")
    (folder / "blobs" / f"{TEMP_PREFIX}link").symlink_to(tmp_path / "elsewhere")
    age_all(store, 100)

    assert collect(store.layout("digits"), noon()) == []


def test_a_file_that_goes_meanwhile_is_no_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    loose_blob(store, 25)
    folder = str(root_of(store) / "ensembles" / "digits")
    monkeypatch.setattr("os.walk", lambda _folder: iter([(folder, [], [f"{TEMP_PREFIX}gone"])]))

    assert collect(store.layout("digits"), noon()) == []


def test_a_file_that_cannot_be_removed_is_named(store: Store) -> None:
    ref = loose_blob(store, 25)

    class Stubborn(QuickDisk):
        def remove(self, path: Path) -> None:
            raise PermissionError(13, "Permission denied", str(path))

    with pytest.raises(StoreUnavailableError, match=f"can't remove garbage .*{ref.digest}.*check who owns"):
        collect(store_in(root_of(store), noon, Stubborn()).layout("digits"), noon())


def test_a_publisher_whose_bytes_were_cleared_away_is_told_and_publishes_nothing(store: Store) -> None:
    draft = draft_in(store, weights={"forest": 0.1, "sepconv": 0.9})
    age_all(store, 25)
    collect(store.layout("digits"), noon())

    with pytest.raises(StoreCorruptError, match="is missing; publish the same file again"):
        store.publish("digits", draft, by="ann", why="slow")
    assert store.current("digits") == 1


def three_versions(store: Store) -> list[BlobRef]:
    """Publish versions 2 and 3; return the weights of all three, which each has for itself."""
    for share in (0.25, 0.125):
        draft = draft_in(store, weights={"forest": share, "sepconv": 1 - share})
        store.publish("digits", draft, by="ann", why="x")
    return [store.manifest("digits", version).draft.weights for version in (1, 2, 3)]


def test_the_newest_the_current_and_the_labelled_versions_are_kept(store: Store) -> None:
    three_versions(store)

    def history() -> History:
        return store.layout("digits").entries.history()

    assert surplus(history(), 1) == [1, 2]
    assert surplus(history(), 2) == [1]
    assert surplus(history(), 3) == []
    store.label("digits", "stable", 1, by="ann", why="x")
    assert surplus(history(), 1) == [2]
    store.rollback("digits", 2, by="ann", why="x")
    assert surplus(history(), 1) == []


def test_the_bytes_of_a_retired_version_stay_until_its_readers_had_the_grace(store: Store) -> None:
    weights = three_versions(store)
    age_all(store, 48)
    store.retire("digits", 1, by="ann", why="old")

    assert collect(store.layout("digits"), noon() + 23 * HOUR) == []
    (removed,) = collect(store.layout("digits"), noon() + 25 * HOUR)

    # The members are those of the versions that stay.
    assert removed.name == weights[0].digest
    assert verify(store.layout("digits")).findings == []
    assert store.layout("digits").versions.taken() == [1, 2, 3]


def test_bytes_of_a_retired_version_that_are_published_again_stay(store: Store) -> None:
    three_versions(store)
    age_all(store, 48)
    store.retire("digits", 1, by="ann", why="old")
    later = store_in(root_of(store), lambda: noon() + 30 * HOUR, QuickDisk())

    # A publisher in flight: its bytes are put, and no version names them yet.
    draft = draft_in(later)
    collect(later.layout("digits"), noon() + 30 * HOUR)

    assert later.publish("digits", draft, by="ann", why="again").version == 4
    assert verify(later.layout("digits")).findings == []


def test_an_entry_without_a_time_clears_nothing_away(store: Store) -> None:
    three_versions(store)
    store.retire("digits", 1, by="ann", why="old")
    path = root_of(store) / "ensembles" / "digits" / "journal" / f"{4:020d}.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"2026-03-01T12:00:00Z", b"yesterday"))

    with pytest.raises(
        StoreCorruptError, match="journal entry 4 was written at 'yesterday', which is no time"
    ):
        collect(store.layout("digits"), noon())
