"""The store: ensembles, their versions, and the one step that makes a version current.

Way of a publish: blobs, then the manifest under the next free number, then the journal entry, the only commit
point. Readers start at the journal, so they see the old version or the new one, whole, whatever dies when.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Self

from model_store.addresses import objects_at
from model_store.cache import Cache
from model_store.cache_settings import cache_from_environment
from model_store.errors import (
    ConflictError,
    EnsembleNotFoundError,
    InvalidDraftError,
    StoreUnavailableError,
    VersionNotFoundError,
)
from model_store.journal import MAX_TEXT, Entry, History, Op, check_publish_id
from model_store.layout import ENSEMBLES, Layout
from model_store.manifest import BlobRef, Draft, Manifest
from model_store.names import check_label, is_name
from model_store.objects import Objects, StillHeld
from model_store.weights import parse_weights


def utc_now() -> datetime:
    """Return the time that journal entries are stamped with."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Store:
    """Published ensembles in a folder or a bucket, for any number of threads and processes at once."""

    objects: Objects
    clock: Callable[[], datetime] = utc_now
    cache: Cache | None = None

    @classmethod
    def open(cls, address: str, *, clock: Callable[[], datetime] = utc_now) -> Self:
        """Return the store at a path, a `file://` address or a bucket's; nothing is made before a put.

        What is read from a bucket is kept in this machine's cache. StoreUnavailableError for other addresses.
        """
        objects = objects_at(address)
        return cls(objects, clock, cache_from_environment() if objects.remote else None)

    @property
    def address(self) -> str:
        """Where the store is; `Store.open` of it gives this store in any process that reaches it."""
        return self.objects.address

    def layout(self, name: str) -> Layout:
        """Return the keys of an ensemble, for `verify` and `garbage`; whether it exists or not."""
        return Layout(self.objects, name, self.cache)

    def ensembles(self) -> list[str]:
        """Return the names that have a published version, sorted; StoreUnavailableError without a store."""
        return [name for name in self.begun() if self.layout(name).entries.seqs()]

    def begun(self) -> list[str]:
        """Return the names for which anything was put, published or not; StoreUnavailableError as above."""
        absent = self.objects.absent()
        if absent is not None:
            raise StoreUnavailableError(f"{absent}; publish into it first, or name another store")
        return [name for name in self.objects.names(ENSEMBLES, "the ensembles") if is_name(name)]

    def entries(self, name: str) -> list[Entry]:
        """Return the whole journal, oldest entry first, its rules checked; empty if nothing was published."""
        return self.layout(name).entries.history().entries

    def head(self, name: str) -> Entry | None:
        """Return the newest journal entry, reading only that one; None if nothing was published."""
        return self.layout(name).entries.head()

    def current(self, name: str) -> int:
        """Return the version that is served now; EnsembleNotFoundError."""
        head = self.head(name)
        if head is None or head.current is None:
            raise self._no_ensemble(name)
        return head.current

    def versions(self, name: str) -> list[int]:
        """Return the published versions, oldest first, without those retired; EnsembleNotFoundError."""
        return self._history(name).live

    def labels(self, name: str) -> dict[str, int]:
        """Return label -> version; EnsembleNotFoundError."""
        return self._history(name).labels

    def manifest(self, name: str, version: int | None = None) -> Manifest:
        """Return the manifest of `version` (None: the current one), its bytes checked against the journal."""
        history = self._history(name)
        number = self._live(name, history, version)
        return self.layout(name).versions.read(number, history.published[number])

    def weights(self, manifest: Manifest) -> dict[str, float]:
        """Return member name -> weight, checked to be for these members; StoreCorruptError."""
        return parse_weights(self.read_blob(manifest.ensemble, manifest.draft.weights), manifest.digests)

    def put_blob(self, name: str, source: Path | bytes) -> BlobRef:
        """File the bytes of `source` for ensemble `name`, durably; the same bytes again change nothing."""
        return self.layout(name).blobs.put(source)

    def copy_blob(self, name: str, ref: BlobRef, target: Path) -> None:
        """Write a blob to the new file `target`, read-only, verified as it is copied; StoreCorruptError.

        What is loaded from there is what was checked, whoever changes the store meanwhile.
        """
        self.layout(name).blobs.copy(ref, target)

    def read_blob(self, name: str, ref: BlobRef) -> bytes:
        """Return the bytes of a (small) blob, verified; StoreCorruptError."""
        return self.layout(name).blobs.read(ref)

    def publish(
        self,
        name: str,
        draft: Draft,
        *,
        by: str,
        why: str,
        expect_seq: int | None = None,
        publish_id: str | None = None,
    ) -> Entry:
        """Make `draft`, whose blobs were put before, the current version; return its journal entry.

        `expect_seq` is the head's seq that the draft was made for (0: none); ConflictError if the journal is
        elsewhere, or moves on meanwhile. StoreCorruptError if a blob is missing.
        `publish_id` names this publish: asked again with the same id and draft, nothing happens and the
        entry of the first time is returned. Whoever was told nothing, or of an error, asks again.
        """
        if publish_id is not None:
            check_publish_id(publish_id, "publish")
        history = self.layout(name).entries.history()
        if (done := self._done(name, history, draft, publish_id)) is not None:
            return done
        _check_head(name, history, expect_seq)
        with self.layout(name).publishing() as still_held:
            self._check_draft(name, history, draft)
            version, digest = self.layout(name).versions.write(draft, above=max(history.published, default=0))
            step = _Step("publish", version, digest, still_held, publish_id=publish_id)
            try:
                return self._append(name, history, step, by=by, why=why)
            except ConflictError:
                # The winner may have been this very publish, asked for twice at once.
                done = self._done(name, self.layout(name).entries.history(), draft, publish_id)
                if done is None:
                    raise
                return done

    def rollback(self, name: str, version: int, *, by: str, why: str, expect_seq: int | None = None) -> Entry:
        """Make an older version current again; return the entry. ConflictError if it is current already.

        `expect_seq` as for `publish`.
        """
        history = self._history(name)
        _check_head(name, history, expect_seq)
        self._live(name, history, version)
        if version == history.current:
            others = [number for number in history.live if number != version]
            raise ConflictError(f"version {version} of {name!r} is current already; others are {others}")
        digest = history.published[version]
        for ref in self.layout(name).versions.read(version, digest).draft.blobs:
            self.layout(name).blobs.check_there(ref)
        return self._append(name, history, _Step("rollback", version, digest), by=by, why=why)

    def label(self, name: str, label: str, version: int, *, by: str, why: str) -> Entry:
        """Point `label` at `version`, in one step, wherever it pointed before; return the journal entry."""
        history = self._history(name)
        number = self._live(name, history, version)
        step = _Step("label", number, history.published[number], label=check_label(label))
        return self._append(name, history, step, by=by, why=why)

    def retire(self, name: str, version: int, *, by: str, why: str) -> Entry:
        """Say that `version` isn't needed any more; its bytes go with a later `garbage.collect`.

        ConflictError if it is current or has a label: somebody is served by it.
        """
        history = self._history(name)
        self._live(name, history, version)
        labels = sorted(label for label, labelled in history.labels.items() if labelled == version)
        if version == history.current or labels:
            reason = f"has the labels {labels}" if labels else "is current"
            raise ConflictError(f"version {version} of {name!r} {reason}, so it stays; move on from it first")
        step = _Step("retire", version, history.published[version])
        return self._append(name, history, step, by=by, why=why)

    def _done(self, name: str, history: History, draft: Draft, publish_id: str | None) -> Entry | None:
        """Return the entry of an earlier publish with this id; ConflictError if that was another draft."""
        entry = None if publish_id is None else history.publish_of(publish_id)
        if entry is None:
            return None
        digest = hashlib.sha256(Manifest(name, entry.version, draft).to_bytes()).hexdigest()
        if digest != entry.manifest_sha256:
            raise ConflictError(
                f"publish id {publish_id!r} was used for version {entry.version} of {name!r}, which isn't "
                "what is to be published now; choose another id"
            )
        return entry

    def _append(self, name: str, history: History, step: "_Step", *, by: str, why: str) -> Entry:
        """Write the entry that follows `history`; ConflictError if another came first."""
        op = step.op
        if max(len(by), len(why)) > MAX_TEXT:
            raise InvalidDraftError(f"by and why have {len(by)} and {len(why)} characters; {MAX_TEXT} may be")
        entry = Entry(
            seq=len(history.entries) + 1,
            op=op,
            version=step.version,
            label=step.label,
            prev=history.current,
            manifest_sha256=step.manifest_sha256,
            at=self.clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            by=by,
            why=why,
            publish_id=step.publish_id,
        )
        # Ours must not become the entry that makes the journal unreadable.
        history.take(entry)
        step.still_held()
        if not self.layout(name).entries.append(entry):
            raise ConflictError(
                f"somebody else wrote entry {entry.seq} of {name!r} first, so this {op} did nothing; "
                f"look with `unisono history {name}`, then try again"
            )
        return entry

    def _check_draft(self, name: str, history: History, draft: Draft) -> None:
        """Refuse a draft that readers could not use."""
        if draft.parent is not None and draft.parent not in history.published:
            raise VersionNotFoundError(
                f"the draft's parent is version {draft.parent} of {name!r}; it has {list(history.published)}"
            )
        for ref in draft.blobs:
            self.layout(name).blobs.check_there(ref)
        parse_weights(self.read_blob(name, draft.weights), draft.digests)

    def _history(self, name: str) -> History:
        """Return the journal's sum; EnsembleNotFoundError if it is empty."""
        history = self.layout(name).entries.history()
        if not history.entries:
            raise self._no_ensemble(name)
        return history

    def _live(self, name: str, history: History, version: int | None) -> int:
        """Return `version`, or the current one for None; VersionNotFoundError unless it is live."""
        number = history.current if version is None else version
        if number is None or number not in history.live:
            raise VersionNotFoundError(f"ensemble {name!r} has no version {number}; it has {history.live}")
        return number

    def _no_ensemble(self, name: str) -> EnsembleNotFoundError:
        absent = self.objects.absent()
        if absent is not None:
            return EnsembleNotFoundError(
                f"no ensemble {name!r}: {absent}; name another store or publish first"
            )
        return EnsembleNotFoundError(f"no ensemble {name!r} in {self.address!r}; it holds {self.ensembles()}")


def _check_head(name: str, history: History, expect_seq: int | None) -> None:
    """Refuse to go on where the journal isn't at the entry that was expected, if any was; ConflictError."""
    seq = len(history.entries)
    if expect_seq not in (None, seq):
        raise ConflictError(
            f"the journal of {name!r} is at entry {seq}, not {expect_seq}: somebody published or rolled "
            f"back; look with `unisono history {name}`, then try again for entry {seq}"
        )


def _no_lock() -> None:
    """Nothing is held: these steps need only their place in the journal."""


class _Step(NamedTuple):
    """What a journal entry is to say, apart from its place, time and author."""

    op: Op
    version: int
    manifest_sha256: str
    still_held: StillHeld = _no_lock
    label: str | None = None
    publish_id: str | None = None
