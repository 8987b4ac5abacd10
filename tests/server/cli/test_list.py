"""`unisono list`."""

import json
from pathlib import Path
from typing import Any

import pytest

from model_store.errors import (
    StoreUnavailableError,
)
from model_store.store import Store
from server.cli.main import EXIT_VERIFY_FAILED
from tests.support.places import root_of


def test_list_says_what_is_served_since_when_and_why(store: Store, call: Any) -> None:
    code, shown = call("list", "--store", store.address)

    assert code == 0
    assert "digits 1 2 canary 2 forest, sepconv 2026-03-01 12:00:00 UTC (rolled back) cyd too slow" in shown


def test_list_prints_one_object_for_programs(store: Store, call: Any) -> None:
    code, shown = call("list", "-o", "json")

    assert code == 0
    assert json.loads(shown) == {
        "store": store.address,
        "ensembles": [
            {
                "name": "digits",
                "version": 1,
                "versions": [1, 2],
                "labels": {"canary": 2},
                "members": ["forest", "sepconv"],
                "op": "rollback",
                "at": "2026-03-01T12:00:00Z",
                "by": "cyd",
                "why": "too slow",
            }
        ],
    }


def test_list_shows_the_healthy_beside_the_broken_and_fails(store: Store, call: Any) -> None:
    (root_of(store) / "ensembles" / "broken" / "journal").mkdir(parents=True)
    (root_of(store) / "ensembles" / "broken" / "journal" / "00000000000000000001.json").write_bytes(b"{}")

    code, shown = call("list", "-o", "json")

    assert code == EXIT_VERIFY_FAILED
    broken, digits = json.loads(shown)["ensembles"]
    assert broken["name"] == "broken"
    assert "journal entry 1 can't be read: it lacks 'seq'" in broken["error"]
    assert digits["version"] == 1

    code, shown = call("list")
    assert code == EXIT_VERIFY_FAILED
    assert "broken ? ?" in shown
    assert "cyd too slow" in shown


def test_list_of_an_empty_store_says_what_to_do(tmp_path: Path, call: Any) -> None:
    (tmp_path / "empty").mkdir()

    assert call("list", "--store", str(tmp_path / "empty")) == (
        0,
        f"no ensembles in {tmp_path}/empty; publish one with `unisono publish`",
    )
    with pytest.raises(StoreUnavailableError, match="doesn't exist; publish into it first"):
        call("list", "--store", str(tmp_path / "typo"))
