"""Whether an ensemble's store holds what it says: every digest of every version that the journal reaches."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from model_store.errors import StoreError
from model_store.layout import Layout
from model_store.manifest import BlobRef, Manifest
from model_store.weights import parse_weights


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: with which version (None: the journal), and what."""

    version: int | None
    text: str


@dataclass(slots=True)
class Verified:
    """What was checked, and what was found. No findings: whoever reads any version now reads it whole."""

    entries: int = 0
    versions: int = 0
    blobs: int = 0
    bytes: int = 0
    findings: list[Finding] = field(default_factory=list)


def verify(layout: Layout) -> Verified:
    """Read and check all that the journal of an ensemble reaches; a retired version is not looked at."""
    report = Verified()
    try:
        history = layout.entries.history()
    except StoreError as error:
        # Without a journal nobody knows what was published.
        report.findings.append(Finding(None, str(error)))
        return report
    report.entries = len(history.entries)
    seen: dict[BlobRef, str | None] = {}
    for version in history.live:
        report.versions += 1
        try:
            manifest = layout.versions.read(version, history.published[version])
        except StoreError as error:
            report.findings.append(Finding(version, str(error)))
            continue
        report.findings.extend(Finding(version, text) for text in _wrong(layout, manifest, seen))
    report.blobs, report.bytes = len(seen), sum(ref.size for ref in seen)
    return report


def _wrong(layout: Layout, manifest: Manifest, seen: dict[BlobRef, str | None]) -> Iterator[str]:
    """Yield what is wrong with the bytes of a version; `seen` remembers blobs that versions share."""
    for ref in sorted(manifest.draft.blobs, key=lambda ref: ref.digest):
        if ref not in seen:
            seen[ref] = _fault(layout, ref)
        fault = seen[ref]
        if fault is not None:
            yield fault
    if seen[manifest.draft.weights] is None:
        try:
            parse_weights(layout.blobs.read(manifest.draft.weights), manifest.digests)
        except StoreError as error:
            yield str(error)


def _fault(layout: Layout, ref: BlobRef) -> str | None:
    """Say what is wrong with a blob; None if nothing is."""
    try:
        layout.blobs.check(ref)
    except StoreError as error:
        return str(error)
    return None
