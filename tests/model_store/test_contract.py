"""What a store promises, whatever place it lies in: a folder, memory, or a bucket behind a real S3 API."""

import hashlib
import os
import threading
from pathlib import Path

import pytest

from model_store.errors import (
    ConflictError,
    EnsembleNotFoundError,
    StoreCorruptError,
    StoreUnavailableError,
    VersionNotFoundError,
)
from model_store.journal import Entry
from model_store.manifest import BlobRef
from model_store.verify import verify
from model_store.weights import weights_json
from tests.model_store.drafts import HALVES, draft_in, publish_share
from tests.model_store.places import Place, store_at

ABC = BlobRef("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 3)


def test_a_version_is_published_and_another_process_reads_it_back(place: Place, tmp_path: Path) -> None:
    draft = draft_in(store_at(place), weights={"forest": 0.25, "sepconv": 0.75}, evidence={"loss": 0.125})

    entry = store_at(place).publish("digits", draft, by="ann", why="first")

    store = store_at(place)
    assert (entry.seq, entry.op, entry.version, entry.prev) == (1, "publish", 1, None)
    assert (store.ensembles(), store.current("digits"), store.versions("digits")) == (["digits"], 1, [1])
    assert store.entries("digits") == [store.head("digits")] == [entry]
    manifest = store.manifest("digits")
    assert (manifest.version, manifest.draft) == (1, draft)
    assert store.weights(manifest) == {"forest": 0.25, "sepconv": 0.75}
    assert store.read_blob("digits", manifest.members[1].blob) == b"the forest's bytes"
    store.copy_blob("digits", manifest.members[1].blob, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"the forest's bytes"


def test_the_keys_are_the_ones_that_other_releases_read(place: Place) -> None:
    publish_share(store_at(place))
    digests = sorted(ref.digest for ref in store_at(place).manifest("digits").draft.blobs)

    assert place.keys() == {
        "ensembles/digits/journal/00000000000000000001.json",
        "ensembles/digits/versions/1/manifest.json",
        *(f"ensembles/digits/blobs/sha256/{digest[:2]}/{digest}" for digest in digests),
    }


def test_reading_makes_nothing(place: Place) -> None:
    store = store_at(place)

    assert store.head("digits") is None
    assert store.entries("digits") == []
    with pytest.raises(EnsembleNotFoundError, match="no ensemble 'digits'"):
        store.current("digits")
    assert place.keys() == set()


def test_roll_back_labels_and_retire_are_entries(place: Place) -> None:
    store = store_at(place)
    publish_share(store, 0.5)
    publish_share(store, 0.25)

    store.label("digits", "stable", 1, by="ann", why="tested")
    store.rollback("digits", 1, by="bob", why="too slow")
    with pytest.raises(ConflictError, match="version 1 of 'digits' has the labels"):
        store.retire("digits", 1, by="ann", why="x")
    store.label("digits", "stable", 2, by="ann", why="x")
    with pytest.raises(ConflictError, match="is current"):
        store.retire("digits", 1, by="ann", why="x")
    store.rollback("digits", 2, by="ann", why="x")
    store.retire("digits", 1, by="ann", why="old")

    read = store_at(place)
    steps = [(entry.op, entry.version, entry.prev) for entry in read.entries("digits")]
    assert steps == [
        ("publish", 1, None), ("publish", 2, 1), ("label", 1, 2), ("rollback", 1, 2), ("label", 2, 1),
        ("rollback", 2, 1), ("retire", 1, 2),
    ]  # fmt: skip
    assert (read.current("digits"), read.versions("digits"), read.labels("digits")) == (2, [2], {"stable": 2})
    with pytest.raises(VersionNotFoundError):
        read.rollback("digits", 1, by="ann", why="x")


def test_a_draft_for_another_head_is_a_conflict(place: Place) -> None:
    store, draft = store_at(place), draft_in(store_at(place))
    assert store.publish("digits", draft, by="ann", why="x", expect_seq=0).seq == 1

    with pytest.raises(ConflictError, match="is at entry 1, not 0"):
        store.publish("digits", draft, by="ann", why="x", expect_seq=0)


def test_a_publish_asked_for_again_with_its_id_happens_once(place: Place) -> None:
    first = publish_share(store_at(place), publish_id="nightly-7")

    assert publish_share(store_at(place), publish_id="nightly-7") == first
    assert store_at(place).versions("digits") == [1]
    with pytest.raises(ConflictError, match="choose another id"):
        publish_share(store_at(place), 0.25, publish_id="nightly-7")


def test_threads_that_race_share_out_the_entries(place: Place) -> None:
    won: list[Entry] = []

    def race() -> None:
        store = store_at(place)
        draft = draft_in(store)
        for _ in range(4):
            try:
                won.append(store.publish("digits", draft, by=threading.current_thread().name, why="race"))
            except ConflictError:
                continue

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    store = store_at(place)
    entries = store.entries("digits")
    assert sorted(won, key=lambda entry: entry.seq) == entries
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert len(entries) >= 4
    assert verify(store.layout("digits")).findings == []


def test_a_draft_that_is_not_whole_is_refused_and_takes_no_number(place: Place) -> None:
    store = store_at(place)
    draft = draft_in(store)
    place.drop(store.layout("digits").blobs.key(draft.weights.digest))

    with pytest.raises(StoreCorruptError, match=f"blob {draft.weights.digest} is missing"):
        store.publish("digits", draft, by="ann", why="x")
    assert publish_share(store).version == 1
    foreign = store.put_blob("digits", weights_json({"x": 1.0}, {"x": "0" * 64}))
    fields = {key: getattr(draft, key) for key in draft.__slots__}
    with pytest.raises(StoreCorruptError, match="the weights are for the members"):
        store.publish("digits", type(draft)(**{**fields, "weights": foreign}), by="ann", why="x")


@pytest.mark.parametrize("size", [0, 3, 2**20, 9 * 2**20 + 17], ids=["none", "few", "chunk", "parts"])
def test_a_file_of_any_size_is_filed_under_its_sha256(place: Place, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "model").write_bytes(data)

    ref = store_at(place).put_blob("digits", tmp_path / "model")

    assert ref == BlobRef(hashlib.sha256(data).hexdigest(), size)
    assert store_at(place).read_blob("digits", ref) == data


@pytest.mark.parametrize("bad", [b"abd", b"ab", b""])
def test_a_blob_that_went_bad_is_refused_and_mended_by_putting_it_again(place: Place, bad: bytes) -> None:
    store = store_at(place)
    blobs = store.layout("digits").blobs
    assert store.put_blob("digits", b"abc") == ABC
    place.write(blobs.key(ABC.digest), bad)

    for read in (blobs.read, blobs.check):
        with pytest.raises(StoreCorruptError, match=f"blob {ABC.digest} h.*publish the same file again"):
            read(ABC)

    assert store.put_blob("digits", b"abc") == ABC
    assert blobs.read(ABC) == b"abc"


def test_no_copy_stays_of_bytes_that_are_others(place: Place, tmp_path: Path) -> None:
    store = store_at(place)
    store.put_blob("digits", b"abc")
    place.write(store.layout("digits").blobs.key(ABC.digest), b"abd")

    with pytest.raises(StoreCorruptError, match="holds bytes with sha256"):
        store.copy_blob("digits", ABC, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_source_that_cannot_be_read_leaves_nothing(place: Place, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="can't read the file to store"):
        store_at(place).put_blob("digits", tmp_path / "model.keras")

    assert place.keys() == set()


def test_a_manifest_number_is_given_once(place: Place) -> None:
    publish_share(store_at(place))
    place.write("ensembles/digits/versions/2/notes.txt", b"mine")

    assert publish_share(store_at(place)).version == 3


def test_what_is_too_large_or_no_entry_is_corrupt(place: Place) -> None:
    publish_share(store_at(place))
    place.write("ensembles/digits/journal/00000000000000000002.json", b" " * 10**6)

    with pytest.raises(StoreCorruptError, match=r"journal entry .* is over \d+ bytes"):
        store_at(place).head("digits")


def test_names_that_are_no_ensembles_are_not_listed(place: Place) -> None:
    store = store_at(place)
    publish_share(store)
    store.put_blob("unfinished", b"bytes, but no version")
    place.write("ensembles/lost+found/x", b"x")

    assert store.ensembles() == ["digits"]
    assert store.begun() == ["digits", "unfinished"]
    with pytest.raises(EnsembleNotFoundError, match=r"it holds \['digits'\]"):
        store.current("fraud")
    assert store.weights(store.manifest("digits")) == HALVES
