"""Clearing away what nothing needs: temp files of publishers that died, and bytes that no version names.

Rule 1: what a version that the journal reaches names is never touched; if one can't be read, nothing is.
Rule 2: what is younger than the grace is never touched: a publisher in flight has bytes not yet named.
Rule 3: a publisher slower than the grace is told that its bytes are gone; it never commits without them.
Rule 4: what a version names that was retired less than the grace ago is not touched: it may be being read.
Rule 5: manifests stay, also of publishes that died: they keep their numbers from being given again.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from model_store.durable import TEMP_PREFIX, explained
from model_store.errors import StoreCorruptError
from model_store.journal import Entry, History
from model_store.layout import Layout
from model_store.names import is_digest

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Garbage:
    """One file that nothing needs, and how many bytes it holds."""

    path: Path
    size: int


def collect(layout: Layout, now: datetime, grace: timedelta = DAY, *, dry_run: bool = False) -> list[Garbage]:
    """Remove the garbage of an ensemble that is older than `grace`; return it. A dry run only looks.

    StoreCorruptError, and nothing is removed, if what is needed can't be known.
    """
    with layout.collecting():
        needed = _needed(layout, now, grace)
        found = [garbage for garbage, age in _unneeded(layout, needed, now) if age >= grace]
        for garbage in [] if dry_run else found:
            with explained("remove garbage", garbage.path), suppress(FileNotFoundError):
                layout.disk.remove(garbage.path)
    return found


def surplus(history: History, keep: int) -> list[int]:
    """Return the versions, oldest first, that may be retired so that the `keep` newest stay.

    The current version stays, and those that have a label, however old they are.
    """
    wanted = {*history.live[-keep:], *history.labels.values(), history.current}
    return [version for version in history.live if version not in wanted]


def _needed(layout: Layout, now: datetime, grace: timedelta) -> set[str]:
    """Return the digests that the versions name that were published and not retired, or not long ago."""
    history = layout.entries.history()
    young = [entry.version for entry in history.entries if entry.op == "retire" and now - _at(entry) < grace]
    manifests = (
        layout.versions.read(version, history.published[version]) for version in (*history.live, *young)
    )
    return {ref.digest for manifest in manifests for ref in manifest.draft.blobs}


def _at(entry: Entry) -> datetime:
    """Return when an entry was written; StoreCorruptError if it doesn't say."""
    try:
        at = datetime.fromisoformat(entry.at)
    except ValueError:
        raise StoreCorruptError(
            f"journal entry {entry.seq} was written at {entry.at[:80]!r}, which is no time; restore it"
        ) from None
    # Without a zone it would be taken for local time, or not be comparable at all.
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _unneeded(layout: Layout, needed: set[str], now: datetime) -> Iterator[tuple[Garbage, timedelta]]:
    """Yield each file that nothing needs, and its age."""
    blobs = layout.blobs.folder
    for path in _files(layout.folder):
        is_blob = is_digest(path.name) and path.is_relative_to(blobs) and path.name not in needed
        if not (is_blob or path.name.startswith(TEMP_PREFIX)):
            continue
        with explained("look at", path):
            try:
                facts = path.lstat()
            except FileNotFoundError:
                # A publisher gave its temp file its name meanwhile.
                continue
        if stat.S_ISREG(facts.st_mode):
            age = now - datetime.fromtimestamp(facts.st_mtime, now.tzinfo)
            yield Garbage(path, facts.st_size), age


def _files(folder: Path) -> Iterator[Path]:
    """Yield all that is no folder below `folder`, sorted; links are not followed."""
    for above, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(above) / name for name in sorted(names))
