"""From a published version to a servable, trusting nothing that wasn't checked on the way."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from model_store.errors import StoreCorruptError, StoreUnavailableError
from model_store.manifest import BlobRef, Manifest, MemberRecord
from model_store.store import Store

from ..errors import InvalidModelError
from ..member import Member
from ..pooling.forms import pool_of
from ..pooling.pool import Pool
from ..runtimes.choice import Open
from ..runtimes.merged import Merger
from ..runtimes.onnx_runtime import OnnxMember
from ..servable import Servable
from ..signature import Signature
from ..weights import Weights
from .golden import Golden

_NONE: Mapping[str, Member] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Runtimes:
    """What runs the members: `open` opens each, and `merger`, if given, makes one graph of those it can."""

    open: Open = OnnxMember.open
    merger: Merger | None = None


_PLAIN = Runtimes()


def load_servable(
    store: Store,
    name: str,
    version: int | None = None,
    *,
    reuse: Mapping[str, Member] = _NONE,
    threads: int = 0,
    runtimes: Runtimes = _PLAIN,
) -> Servable:
    """Load `version` of an ensemble (None: the current one), every byte checked against the manifest.

    Members in `reuse`, by digest, are not loaded again. `threads` may work on one batch; 0: one a core.
    InvalidModelError if this release can't serve it, GoldenMismatchError if its scores are others than when
    it was published, StoreError if the store doesn't hold it whole.
    """
    manifest = store.manifest(name, version)
    weights = Weights(store.weights(manifest))
    opener = partial(runtimes.open, threads=threads)
    servable = Servable(
        name=name,
        version=manifest.version,
        signature=signature_of(manifest.signature, f"version {manifest.version} of {name!r}"),
        classes=manifest.classes,
        members=tuple(_member(store, manifest, record, reuse, opener) for record in manifest.members),
        weights=weights,
        pool=_pool(manifest, weights),
    )
    golden, kept = Golden.read(store, manifest), manifest.draft.golden
    if golden is not None and kept is not None:
        golden.check(servable, kept.tolerance)
    if runtimes.merger is None:
        return servable
    blobs = {record.name: served_blob(record) for record in manifest.members}
    together = runtimes.merger.merged(servable.voters, lambda member: store.read_blob(name, blobs[member]))
    return replace(servable, together=together)


def _pool(manifest: Manifest, weights: Weights) -> Pool:
    try:
        return pool_of(manifest.pool, weights)
    except InvalidModelError as error:
        raise InvalidModelError(f"version {manifest.version} of {manifest.ensemble!r}: {error}") from None


def signature_of(data: Mapping[str, object], whose: str) -> Signature:
    """Read a manifest's signature; StoreCorruptError if it is none."""
    try:
        return Signature.from_json(data)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreCorruptError(
            f"the signature of {whose} can't be read: {error!r}; publish it again"
        ) from error


def served_blob(record: MemberRecord) -> BlobRef:
    """Return the ONNX file of a member: the published one, or the one derived from it; InvalidModelError."""
    if record.format == "onnx":
        return record.blob
    if "onnx" in record.derived:
        return record.derived["onnx"].blob
    raise InvalidModelError(
        f"member {record.name!r} has the format {record.format!r} and no ONNX file made from it; "
        "publish it again"
    )


def _private_folder() -> tempfile.TemporaryDirectory[str]:
    """Make a folder that this user alone may enter; StoreUnavailableError where there is no place for one."""
    try:
        return tempfile.TemporaryDirectory(prefix="unisono-load-")
    except OSError as error:
        raise StoreUnavailableError(
            f"no temporary folder can be made to load members from: {error.strerror}; set TMPDIR to one that "
            "is writable"
        ) from error


def _member(
    store: Store, manifest: Manifest, record: MemberRecord, reuse: Mapping[str, Member], opener: Open
) -> Member:
    """Return one member: the loaded one, if it is the same in every respect, or a new one."""
    signature = signature_of(record.signature, f"member {record.name!r}")
    loaded = reuse.get(record.digest)
    if loaded is not None and loaded.name == record.name and loaded.signature == signature:
        return loaded
    ref = served_blob(record)
    # A private copy, checked as it is made: the store's own file might be exchanged between check and use.
    with _private_folder() as folder:
        path = Path(folder) / ref.digest
        store.copy_blob(manifest.ensemble, ref, path)
        return opener(path, name=record.name, digest=record.digest, signature=signature)
