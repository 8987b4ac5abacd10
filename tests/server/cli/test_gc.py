"""`unisono gc`."""

import json
from typing import Any

from model_store.store import Store


def test_gc_clears_away_what_no_version_needs(store: Store, call: Any) -> None:
    ref = store.put_blob("digits", b"nobody's")

    assert call("gc") == (0, "removed 0 files, 0 B")
    assert call("gc", "digits", "--grace-hours", "0", "--dry-run") == (
        0,
        f"digits: {ref.digest}, 8 B would remove 1 files, 8 B",
    )
    code, shown = call("gc", "--grace-hours", "0", "-o", "json")
    assert code == 0
    assert json.loads(shown)["bytes"] == 8
    assert call("verify")[0] == 0
    assert call("gc", "--grace-hours", "0") == (0, "removed 0 files, 0 B")


def test_gc_clears_away_a_first_publish_that_came_to_nothing(store: Store, call: Any) -> None:
    store.put_blob("unfinished", b"bytes, but no version")

    assert "removed 1 files, 21 B" in call("gc", "--grace-hours", "0")[1]
    assert call("gc", "unfinished") == (0, "removed 0 files, 0 B")


def test_gc_keeps_as_many_versions_as_it_is_told(store: Store, call: Any) -> None:
    refit = store.manifest("digits", 2).draft
    store.publish("digits", refit, by="bob", why="again")
    store.publish("digits", refit, by="bob", why="again")

    # 2 has a label, 4 is current.
    assert (
        "would retire version 1 digits: would retire version 3" in call("gc", "--keep", "1", "--dry-run")[1]
    )
    assert store.versions("digits") == [1, 2, 3, 4]
    code, shown = call("gc", "--keep", "1", "-o", "json")
    assert code == 0
    retired = [{"name": "digits", "version": 1}, {"name": "digits", "version": 3}]
    assert json.loads(shown)["retired"] == retired
    assert store.versions("digits") == [2, 4]
    assert store.entries("digits")[-1].why == "gc --keep 1"

    # The weights of version 1 are nobody else's.
    assert "digits: retired" not in call("gc", "--keep", "1")[1]
    assert "removed 1 files" in call("gc", "--grace-hours", "0")[1]
    assert call("verify")[0] == 0
