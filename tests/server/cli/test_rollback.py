"""`unisono rollback`, and who is named in the journal."""

import getpass
import os
from typing import Any

import pytest

from model_store.errors import (
    ConflictError,
)
from model_store.store import Store
from server.cli.user import user_name


def test_rollback_makes_an_older_version_current_and_says_so(store: Store, call: Any) -> None:
    code, shown = call("rollback", "digits", "2", "--why", "fixed", "--by", "dee")

    assert (code, shown) == (0, "digits: version 2 is current again, version 1 was (journal entry 5)")
    head = store.head("digits")
    assert head is not None
    assert (head.op, head.version, head.by, head.why) == ("rollback", 2, "dee", "fixed")


def test_rollback_names_whoever_is_logged_in(
    store: Store, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "eve")

    call("rollback", "digits", "2")

    head = store.head("digits")
    assert head is not None
    assert head.by == "eve"


@pytest.mark.usefixtures("store")
def test_rollback_to_where_we_are_is_a_conflict(call: Any) -> None:
    with pytest.raises(ConflictError, match="version 1 of 'digits' is current already"):
        call("rollback", "digits", "1")


def test_who_has_no_login_name_is_named_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.setattr(os, "getuid", lambda: 12345)

    assert user_name() == "uid 12345"
