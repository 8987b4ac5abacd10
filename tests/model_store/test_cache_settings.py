from collections.abc import Callable
from pathlib import Path

import pytest

from model_store.cache import Cache
from model_store.cache_settings import cache_from_environment
from model_store.errors import StoreUnavailableError


def settings(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Cache | None]:
    def read_with(**variables: str) -> Cache | None:
        for name in ("UNISONO_CACHE_FOLDER", "UNISONO_CACHE_BYTES", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return cache_from_environment()

    return read_with


def test_the_environment_says_where_the_cache_lies_and_how_large_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of = settings(monkeypatch)

    assert of(HOME="/home/ann") == Cache(Path("/home/ann/.cache/unisono/blobs"), 10 * 2**30)
    assert of(XDG_CACHE_HOME="/c") == Cache(Path("/c/unisono/blobs"), 10 * 2**30)
    assert of(UNISONO_CACHE_FOLDER="/d", UNISONO_CACHE_BYTES="7") == Cache(Path("/d"), 7)
    assert of(UNISONO_CACHE_BYTES="0") is None
    with pytest.raises(StoreUnavailableError, match="UNISONO_CACHE_BYTES is '1G'; it must be a number of by"):
        of(UNISONO_CACHE_BYTES="1G")
