"""Clearing away what nothing needs: what publishers that died left, and bytes that no version names.

Rule 1: what a version that the journal reaches names is never touched; if one can't be read, nothing is.
Rule 2: what is younger than the grace is never touched: a publisher in flight has bytes not yet named.
Rule 3: a publisher slower than the grace is told that its bytes are gone; it never commits without them.
Rule 4: what a version names that was retired less than the grace ago is not touched: it may be being read.
Rule 5: manifests stay, also of publishes that died: they keep their numbers from being given again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from model_store.errors import StoreCorruptError
from model_store.journal import Entry, History
from model_store.layout import Layout
from model_store.names import is_digest

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Garbage:
    """One thing that nothing needs: its key, the name people know it by, and how many bytes it holds."""

    key: str
    where: str
    size: int

    @property
    def name(self) -> str:
        """The last part of the key: of a blob, its sha256."""
        return self.key.rpartition("/")[2]


def collect(layout: Layout, now: datetime, grace: timedelta = DAY, *, dry_run: bool = False) -> list[Garbage]:
    """Remove the garbage of an ensemble that is older than `grace`; return it. A dry run only looks.

    StoreCorruptError, and nothing is removed, if what is needed can't be known.
    """
    with layout.collecting() as still_held:
        needed = _needed(layout, now, grace)
        found = [garbage for garbage, age in _unneeded(layout, needed, now) if age >= grace]
        for garbage in [] if dry_run else found:
            still_held()
            layout.objects.remove(garbage.key, "garbage")
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
    """Yield each thing that nothing needs, and its age."""
    for found in layout.objects.listing(layout.folder):
        is_blob = is_digest(found.name) and found.key == layout.blobs.key(found.name)
        if found.leftover or (is_blob and found.name not in needed):
            where = layout.objects.where(found.key)
            yield Garbage(found.key, where, found.size), now - found.modified
