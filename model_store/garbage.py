"""Clearing away what nothing needs: temp files of publishers that died, and bytes that no version names.

Rule 1: what a version that the journal reaches names is never touched; if one can't be read, nothing is.
Rule 2: what is younger than the grace is never touched: a publisher in flight has bytes not yet named.
Rule 3: a publisher slower than the grace is told that its bytes are gone; it never commits without them.
Rule 4: manifests stay, also of publishes that died: they keep their numbers from being given again.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from model_store.durable import TEMP_PREFIX, explained
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
        needed = _needed(layout)
        found = [garbage for garbage, age in _unneeded(layout, needed, now) if age >= grace]
        for garbage in [] if dry_run else found:
            with explained("remove garbage", garbage.path), suppress(FileNotFoundError):
                layout.disk.remove(garbage.path)
    return found


def _needed(layout: Layout) -> set[str]:
    """Return the digests that the versions name that were published and not retired."""
    history = layout.entries.history()
    manifests = (layout.versions.read(version, history.published[version]) for version in history.live)
    return {ref.digest for manifest in manifests for ref in manifest.draft.blobs}


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
