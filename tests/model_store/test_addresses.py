"""Where a store may be."""

from pathlib import Path

import pytest

from model_store.errors import (
    StoreUnavailableError,
)
from model_store.store import Store
from tests.model_store.drafts import publish


@pytest.mark.parametrize("prefix", ["", "file://", "file://localhost"])
def test_an_address_is_a_path_or_a_file_url(tmp_path: Path, prefix: str) -> None:
    store = Store.open(f"{prefix}{tmp_path}/store")
    publish(store)

    assert Store.open(store.address).current("digits") == 1
    assert store.address == f"{tmp_path}/store"


def test_a_file_url_may_have_escapes_and_a_path_may_be_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert Store.open(f"file://{tmp_path}/my%20store").address == f"{tmp_path}/my store"
    assert Store.open("./store").address == f"{tmp_path}/store"
    assert Store.open("store").address == f"{tmp_path}/store"


@pytest.mark.parametrize(
    "address", ["s3://", "s3://b/p?x=1", "s3://key@b/p", "file://host/store", "file://", "http://x/y"]
)
def test_an_address_that_cannot_be_opened_says_what_can(address: str) -> None:
    with pytest.raises(
        StoreUnavailableError, match=r"can't be opened; use a path, file:///absolute/path, s3://"
    ):
        Store.open(address)


def test_an_empty_address_is_refused() -> None:
    with pytest.raises(StoreUnavailableError, match="store address '' can't be opened"):
        Store.open("")
