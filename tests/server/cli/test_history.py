"""`unisono history`."""

import json
from typing import Any

import pytest

from model_store.errors import (
    EnsembleNotFoundError,
)
from model_store.store import Store


@pytest.mark.usefixtures("store")
def test_history_shows_the_newest_entry_first(call: Any) -> None:
    code, shown = call("history", "digits")

    assert code == 0
    places = [
        shown.index(said)
        for said in (
            "4 2026-03-01 12:00:00 UTC label canary on version 2 1 bob to compare",
            "3 2026-03-01 12:00:00 UTC rollback to version 1 1 cyd too slow",
            "2 2026-03-01 12:00:00 UTC publish version 2 2 bob refit",
            "1 2026-03-01 12:00:00 UTC publish version 1 1 ann first [try]",
        )
    ]
    assert places == sorted(places)


def test_history_prints_one_object_for_programs(store: Store, call: Any) -> None:
    code, shown = call("history", "digits", "-o", "json")

    said = json.loads(shown)
    assert code == 0
    assert (said["name"], said["current"]) == ("digits", 1)
    assert [entry["op"] for entry in said["entries"]] == ["label", "rollback", "publish", "publish"]
    assert said["entries"][3]["manifest_sha256"] == store.entries("digits")[0].manifest_sha256


def test_history_of_nothing_is_an_error(store: Store, call: Any) -> None:
    with pytest.raises(EnsembleNotFoundError, match=f"no ensemble 'x' in '{store.address}'"):
        call("history", "x")
