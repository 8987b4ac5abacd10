"""The record of what is current: create-only entries, numbered from 1 without a gap.

Rule 1: an entry is the only commit point. What no entry names was never published.
Rule 2: entry n + 1 exists only if n does, is written once, and names as `prev` the version that was current.
Rule 3: a version number is published once, and numbers only grow.
Rule 4: a publish id is used once, so who doesn't know whether a publish came through can ask again.
Rule 5: this file decides; it never reads a disk or a clock.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, get_args

from model_store import canonical
from model_store.errors import StoreCorruptError
from model_store.names import check_label, check_name, is_digest

Op = Literal["publish", "rollback", "label", "retire"]
# These make a version current; the others leave it as it is.
MOVES = ("publish", "rollback")
# Characters that people may write as a reason or a name; longer is an accident.
MAX_TEXT = 4000
# Two such texts, each character at its longest in ASCII JSON (12 bytes), and the rest.
MAX_ENTRY_BYTES = 2 * 12 * MAX_TEXT + 4096

_FILE = re.compile(r"(\d{20})\.json")


@dataclass(frozen=True, slots=True)
class Entry:
    """One step: what was done to which version, when (ISO UTC), by whom, why; `prev` was current before.

    `publish_id` is the publisher's own name for this publish, if it gave one.
    """

    seq: int
    op: Op
    version: int
    label: str | None
    prev: int | None
    manifest_sha256: str
    at: str
    by: str
    why: str
    publish_id: str | None = None

    @property
    def current(self) -> int | None:
        """The version that is current after this entry."""
        return self.version if self.op in MOVES else self.prev

    def to_bytes(self) -> bytes:
        """Return the bytes that are stored."""
        data = asdict(self)
        if self.publish_id is None:
            del data["publish_id"]
        return canonical.encode(data)

    @classmethod
    def from_bytes(cls, data: bytes, seq: int) -> Self:
        """Read entry `seq`; StoreCorruptError if the bytes are not one, or another's."""
        entry = canonical.parsed(cls._from_json, data, f"journal entry {seq}")
        if entry.seq != seq:
            raise StoreCorruptError(f"journal entry {seq} says it is {entry.seq}; restore it from a backup")
        return entry

    @classmethod
    def _from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read one entry. Keys that a later release may add are left alone."""
        needed = [name for name in cls.__dataclass_fields__ if name != "publish_id"]
        entry = cls(**{name: data[name] for name in needed}, publish_id=data.get("publish_id"))
        whole = (entry.seq, entry.version, *([] if entry.prev is None else [entry.prev]))
        text = (entry.manifest_sha256, entry.at, entry.by, entry.why)
        if any(type(number) is not int or number < 1 for number in whole):
            raise ValueError(f"seq, version and prev are {whole!r}, not all numbers from 1")
        if any(type(part) is not str for part in text) or not is_digest(entry.manifest_sha256):
            raise ValueError("manifest_sha256, at, by and why are not a digest and text")
        if entry.op not in get_args(Op):
            raise ValueError(f"op is {entry.op!r}; this release knows {get_args(Op)}: use a newer one")
        if not (isinstance(entry.label, str) if entry.op == "label" else entry.label is None):
            raise ValueError(f"label is {entry.label!r} on a {entry.op}")
        if entry.label is not None:
            check_label(entry.label)
        if entry.publish_id is not None:
            check_publish_id(entry.publish_id, entry.op)
        return entry


@dataclass(slots=True)
class History:
    """What a journal adds up to. Grows by `take` alone, which keeps the rules."""

    entries: list[Entry] = field(default_factory=list)
    # Published version -> the sha256 of its manifest, oldest first; and those since retired.
    published: dict[int, str] = field(default_factory=dict)
    retired: set[int] = field(default_factory=set)
    labels: dict[str, int] = field(default_factory=dict)

    @property
    def head(self) -> Entry | None:
        """The newest entry."""
        return self.entries[-1] if self.entries else None

    @property
    def current(self) -> int | None:
        """The version that is served now."""
        return self.head.current if self.head else None

    @property
    def live(self) -> list[int]:
        """The published versions that were not retired, oldest first."""
        return [version for version in self.published if version not in self.retired]

    def take(self, entry: Entry) -> None:
        """Add the next entry; StoreCorruptError if it can't come next."""
        if entry.seq != len(self.entries) + 1 or entry.prev != self.current:
            raise StoreCorruptError(
                f"journal entry {entry.seq} follows {len(self.entries)} entries and says that version "
                f"{entry.prev} was current; it was {self.current}: restore what is missing or was changed"
            )
        if entry.op == "publish":
            self._check_new(entry)
            self.published[entry.version] = entry.manifest_sha256
        else:
            self._check_known(entry)
        if entry.op == "retire":
            self.retired.add(entry.version)
        if entry.label is not None:
            self.labels[entry.label] = entry.version
        self.entries.append(entry)

    def publish_of(self, publish_id: str) -> Entry | None:
        """Return the entry of the publish that has this id; None if none has."""
        return next((entry for entry in self.entries if entry.publish_id == publish_id), None)

    def _check_new(self, entry: Entry) -> None:
        """Refuse a number that was published, or passed over, and an id that was used."""
        if entry.version <= max(self.published, default=0):
            raise StoreCorruptError(
                f"journal entry {entry.seq} publishes version {entry.version} a second time; restore it"
            )
        if entry.publish_id is not None and self.publish_of(entry.publish_id) is not None:
            raise StoreCorruptError(
                f"journal entry {entry.seq} uses publish id {entry.publish_id!r} a second time; restore it"
            )

    def _check_known(self, entry: Entry) -> None:
        """Refuse a step on a version that isn't there, and one that takes the current version away."""
        known = self.published.get(entry.version) == entry.manifest_sha256
        if not known or entry.version in self.retired:
            raise StoreCorruptError(
                f"journal entry {entry.seq} is a {entry.op} of version {entry.version}, not a published one; "
                "restore it"
            )
        if entry.op == "retire" and entry.version == self.current:
            raise StoreCorruptError(
                f"journal entry {entry.seq} retires version {entry.version}, which is current; restore it"
            )


def check_publish_id(publish_id: str, op: Op) -> None:
    """Refuse what is no id, and an id on a step that is no publish; InvalidNameError or ValueError."""
    if type(publish_id) is not str or op != "publish":
        raise ValueError(f"publish_id is {publish_id!r:.80} on a {op}")
    check_name(publish_id, "publish id")


def replay(entries: Iterable[Entry]) -> History:
    """Add up a journal, oldest entry first; StoreCorruptError if it breaks a rule."""
    history = History()
    for entry in entries:
        history.take(entry)
    return history


def file_name(seq: int) -> str:
    """Return the file name of entry `seq`: 20 digits, so that names sort as numbers do."""
    return f"{seq:020d}.json"


def seqs(names: Iterable[str]) -> list[int]:
    """Return the entry numbers among file names, sorted; anything else (temp files) is left out."""
    return sorted(int(match[1]) for name in names if (match := _FILE.fullmatch(name)))
