"""What a store promises of verifying and clearing away, whatever place it lies in."""

import threading
from datetime import datetime, timedelta

import pytest

from model_store.errors import (
    ConflictError,
    StoreCorruptError,
)
from model_store.garbage import collect, surplus
from model_store.store import utc_now
from model_store.verify import Finding, verify
from tests.model_store.drafts import draft_in, publish_share
from tests.model_store.places import BucketPlace, Place, store_at

HOUR = timedelta(hours=1)


def later(hours: float) -> datetime:
    return utc_now() + hours * HOUR


def test_verify_finds_every_key_that_was_changed_or_is_gone(place: Place) -> None:
    publish_share(store_at(place))
    publish_share(store_at(place), 0.25)
    report = verify(store_at(place).layout("digits"))
    assert (report.entries, report.versions, report.blobs, report.findings) == (2, 2, 5, [])

    for key in sorted(place.keys()):
        data = store_at(place).layout("digits").objects.read(key, "key", 10**6)
        for spoiled in (b"{}", data[: len(data) // 2], None):
            if spoiled is None:
                place.drop(key)
            else:
                place.write(key, spoiled)
            # The newest entry alone can go without a trace: it is as if it had never been written.
            newest = spoiled is None and key.endswith("2.json")
            assert bool(verify(store_at(place).layout("digits")).findings) != newest, (key, spoiled)
            place.write(key, data)
    assert verify(store_at(place).layout("digits")).findings == []


def test_verify_says_which_version_lacks_what(place: Place) -> None:
    publish_share(store_at(place))
    ref = store_at(place).manifest("digits").draft.weights
    place.drop(store_at(place).layout("digits").blobs.key(ref.digest))

    said = f"blob {ref.digest} is missing; publish the same file again to mend it, or roll back to another"
    (finding,) = verify(store_at(place).layout("digits")).findings
    assert finding == Finding(1, f"{said} version")


def test_garbage_goes_once_it_is_old_and_never_what_a_version_names(place: Place) -> None:
    store = store_at(place)
    publish_share(store)
    needed = place.keys()
    loose = store.put_blob("digits", b"nobody's")

    assert collect(store.layout("digits"), later(23)) == []
    (would,) = collect(store.layout("digits"), later(25), dry_run=True)
    assert (would.name, would.size) == (loose.digest, 8)
    assert place.keys() == {*needed, would.key}
    assert collect(store.layout("digits"), later(25)) == [would]

    assert place.keys() == needed
    assert collect(store.layout("digits"), later(10**4), 0 * HOUR) == []
    assert verify(store.layout("digits")).findings == []


def test_the_bytes_of_a_retired_version_stay_until_its_readers_had_the_grace(place: Place) -> None:
    store = store_at(place)
    for share in (0.5, 0.25, 0.125):
        publish_share(store, share)
    weights = store.manifest("digits", 1).draft.weights
    assert surplus(store.layout("digits").entries.history(), 2) == [1]
    store.retire("digits", 1, by="ann", why="old")

    assert collect(store.layout("digits"), later(23)) == []
    (removed,) = collect(store.layout("digits"), later(25))

    assert removed.name == weights.digest
    assert verify(store.layout("digits")).findings == []
    assert publish_share(store).version == 4


def test_a_publisher_whose_bytes_were_cleared_away_is_told_and_publishes_nothing(place: Place) -> None:
    store = store_at(place)
    publish_share(store)
    draft = draft_in(store, weights={"forest": 0.1, "sepconv": 0.9})
    collect(store.layout("digits"), later(25))

    with pytest.raises(StoreCorruptError, match="is missing; publish the same file again"):
        store.publish("digits", draft, by="ann", why="slow")
    assert store.current("digits") == 1


def test_who_collects_waits_for_a_publisher_between_check_and_entry(place: Place) -> None:
    store = store_at(place)
    publish_share(store)
    layout, order = store.layout("digits"), list[str]()
    began = threading.Event()

    def clear() -> None:
        began.set()
        try:
            collect(store_at(place).layout("digits"), later(25))
        except ConflictError:
            # In a bucket there is an end to the waiting.
            order.append("gave up")
        else:
            order.append("collected")

    with layout.publishing():
        collector = threading.Thread(target=clear)
        collector.start()
        began.wait()
        if isinstance(place, BucketPlace):
            collector.join()
        order.append("published")
    collector.join()

    ended = ["gave up", "published"] if isinstance(place, BucketPlace) else ["published", "collected"]
    assert order == ended
    assert collect(layout, later(25)) == []
