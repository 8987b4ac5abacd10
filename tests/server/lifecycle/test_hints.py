import asyncio
import ctypes
import os
import sys
from pathlib import Path

import pytest

from server.lifecycle.hints import Hints, folders_of, hinting

linux = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux'")


@linux
async def test_a_name_that_appears_is_hinted_at_and_nothing_else(tmp_path: Path) -> None:
    watched, other = tmp_path / "watched", tmp_path / "other"
    watched.mkdir()
    other.mkdir()
    (watched / "old").write_text("x")
    hinted: list[str] = []
    seen = asyncio.Event()

    def hint() -> None:
        hinted.extend(path.name for path in watched.iterdir() if path.name not in ("old", *hinted))
        seen.set()

    hints = Hints(hint)
    hints.watch([watched, watched, tmp_path / "none"])
    (other / "a").write_text("x")
    (watched / "old").write_text("y")
    os.link(other / "a", watched / "linked")
    async with asyncio.timeout(5):
        await seen.wait()
    assert hinted == ["linked"]
    seen.clear()
    (other / "a").rename(watched / "moved")
    async with asyncio.timeout(5):
        await seen.wait()
    assert hinted == ["linked", "moved"]

    hints.close()
    hints.close()
    hints.watch([watched])
    seen.clear()
    (watched / "late").write_text("x")
    for _ in range(3):
        await asyncio.sleep(0)
    assert not seen.is_set()


async def test_where_there_is_no_inotify_nothing_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    hints = Hints(lambda: pytest.fail("nobody could know"))
    hints.watch([tmp_path])
    hints.close()


def test_the_folders_of_a_store_are_its_journals_and_that_of_its_ensembles(tmp_path: Path) -> None:
    (tmp_path / "ensembles" / "digits" / "journal").mkdir(parents=True)
    ensembles = tmp_path / "ensembles"
    expected = [ensembles, ensembles / "digits", ensembles / "digits/journal"]
    assert folders_of(str(tmp_path)) == expected
    assert folders_of("s3://bucket/store") == []


@linux
async def test_what_is_published_in_a_new_ensemble_is_hinted_at(tmp_path: Path) -> None:
    (tmp_path / "ensembles").mkdir()
    hinted = asyncio.Event()
    with hinting(str(tmp_path), hinted.set):
        for folder in ("ensembles/digits", "ensembles/digits/journal", "ensembles/digits/journal/1.json"):
            (tmp_path / folder).mkdir()
            async with asyncio.timeout(5):
                await hinted.wait()
            hinted.clear()
