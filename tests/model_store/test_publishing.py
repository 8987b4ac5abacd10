"""A publish happens once, for whoever was first, whole or not at all."""

import errno
from pathlib import Path

import pytest

from model_store.durable import Disk
from model_store.errors import (
    ConflictError,
    InvalidDraftError,
    InvalidNameError,
    StoreCorruptError,
    StoreUnavailableError,
    VersionNotFoundError,
)
from model_store.store import Store
from model_store.weights import weights_json
from tests.model_store.disks import failing_disk
from tests.model_store.drafts import draft_in, no_blob, noon, publish
from tests.support.places import root_of, store_in


def test_a_draft_for_another_head_is_a_conflict(store: Store) -> None:
    draft = draft_in(store)
    with pytest.raises(ConflictError, match="the journal of 'digits' is at entry 0, not 1"):
        store.publish("digits", draft, by="ann", why="x", expect_seq=1)
    store.publish("digits", draft, by="ann", why="x", expect_seq=0)

    with pytest.raises(
        ConflictError, match=r"is at entry 1, not 0: .*`unisono history digits`, then try again for entry 1"
    ):
        store.publish("digits", draft, by="ann", why="x", expect_seq=0)
    assert store.publish("digits", draft, by="ann", why="x", expect_seq=1).seq == 2


def test_a_race_has_one_winner_and_the_loser_is_told_the_way_out(store: Store) -> None:
    draft = draft_in(store)
    rival = store_in(root_of(store), noon)

    class Overtaken(Disk):
        """Lets a rival publish just before our journal entry gets its name."""

        def link(self, temp: Path, final: Path) -> None:
            if final.parent.name == "journal":
                rival.publish("digits", draft, by="bob", why="faster")
            super().link(temp, final)

    with pytest.raises(
        ConflictError, match=r"somebody else wrote entry 1 of 'digits' first, so this publish did"
    ):
        store_in(root_of(store), noon, Overtaken()).publish("digits", draft, by="ann", why="slower")

    assert [(entry.seq, entry.version, entry.by) for entry in store.entries("digits")] == [(1, 2, "bob")]
    # Number 1 was taken by the loser and is never given again.
    assert store.publish("digits", draft, by="ann", why="again").version == 3


def test_a_draft_that_is_not_whole_is_refused_and_takes_no_number(store: Store) -> None:
    publish(store)
    draft = draft_in(store)
    digests = draft.digests
    foreign = store.put_blob("digits", weights_json({"x": 1.0}, {"x": digests["forest"]}))

    for change, error, reason in (
        ({"weights": no_blob()}, StoreCorruptError, "blob 0000.* is missing"),
        ({"weights": foreign}, StoreCorruptError, r"the weights are for the members \['x'\]"),
        ({"parent": 9}, VersionNotFoundError, r"parent is version 9 of 'digits'; it has \[1\]"),
        ({"evidence": {"loss": float("nan")}}, InvalidDraftError, "can't be written as JSON"),
    ):
        broken = type(draft)(**{**{key: getattr(draft, key) for key in draft.__slots__}, **change})
        with pytest.raises(error, match=reason):
            store.publish("digits", broken, by="ann", why="x")

    assert publish(store).version == 2


def test_a_reason_as_long_as_a_book_is_refused(store: Store) -> None:
    draft = draft_in(store)

    with pytest.raises(InvalidDraftError, match="by and why have 3 and 4001 characters; 4000 may be"):
        store.publish("digits", draft, by="ann", why="x" * 4001)
    # The longest text that may be fits into the longest entry that is read, whatever its letters.
    store.publish("digits", draft, by="\U0001f600" * 4000, why="\U0001f600" * 4000)
    assert store.head("digits") is not None


def test_a_full_disk_says_so_and_the_old_version_stays(store: Store) -> None:
    publish(store)
    full = store_in(root_of(store), noon, failing_disk(1, errno.ENOSPC))

    with pytest.raises(StoreUnavailableError, match="No space left on device; free some space"):
        full.put_blob("digits", b"new bytes")
    assert store.current("digits") == 1


def test_a_publish_asked_for_again_with_its_id_happens_once(store: Store) -> None:
    draft = draft_in(store)
    first = store.publish("digits", draft, by="ann", why="x", publish_id="nightly-7")

    # Whatever was expected then: the caller doesn't know that it came through.
    again = store.publish("digits", draft, by="ann", why="retry", expect_seq=0, publish_id="nightly-7")

    assert again == first
    assert first.publish_id == "nightly-7"
    assert store.versions("digits") == [1]
    assert store.layout("digits").versions.taken() == [1]
    assert store.publish("digits", draft, by="ann", why="x", publish_id="nightly-8").version == 2


def test_a_publish_id_means_one_draft(store: Store) -> None:
    store.publish("digits", draft_in(store), by="ann", why="x", publish_id="one")

    with pytest.raises(
        ConflictError, match=r"publish id 'one' was used for version 1 of 'digits', which isn't what is to be"
    ):
        store.publish("digits", draft_in(store, weights={"forest": 1.0, "sepconv": 0.0}), by="ann", why="x",
                      publish_id="one")  # fmt: skip
    with pytest.raises(InvalidNameError, match="publish id name 'a b' can't be used"):
        store.publish("digits", draft_in(store), by="ann", why="x", publish_id="a b")


def test_the_same_publish_asked_for_twice_at_once_happens_once(store: Store) -> None:
    draft = draft_in(store)
    twin = store_in(root_of(store), noon)

    class Overtaken(Disk):
        """Lets the twin publish just before our journal entry gets its name."""

        def link(self, temp: Path, final: Path) -> None:
            if final.parent.name == "journal":
                twin.publish("digits", draft, by="ann", why="x", publish_id="one")
            super().link(temp, final)

    entry = store_in(root_of(store), noon, Overtaken()).publish(
        "digits", draft, by="ann", why="x", publish_id="one"
    )

    assert store.entries("digits") == [entry]


def test_a_publish_that_was_told_of_an_error_though_it_came_through_is_asked_for_again(store: Store) -> None:
    draft = draft_in(store)

    class FailsAfterTheCommit(Disk):
        """Its folder of journal entries can't be synced: the entry is there, but may not survive."""

        def sync_folder(self, path: Path) -> None:
            if path.name == "journal" and any(path.iterdir()):
                raise OSError(errno.EIO, "Input/output error")
            super().sync_folder(path)

    with pytest.raises(StoreUnavailableError):
        store_in(root_of(store), noon, FailsAfterTheCommit()).publish(
            "digits", draft, by="ann", why="x", publish_id="one"
        )

    assert store.publish("digits", draft, by="ann", why="x", publish_id="one").seq == 1
    assert store.versions("digits") == [1]
