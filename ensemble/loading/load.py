"""From a published version to a servable, trusting nothing that wasn't checked on the way."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from model_store.errors import StoreCorruptError
from model_store.manifest import BlobRef, Manifest, MemberRecord
from model_store.store import Store

from ..errors import InvalidModelError
from ..member import Member
from ..pooling.linear import LinearPool
from ..runtimes.merged import Merger
from ..runtimes.onnx_runtime import OnnxMember
from ..servable import Servable
from ..signature import Signature
from ..weights import Weights

POOL_FORM = "linear"
_NONE: Mapping[str, Member] = MappingProxyType({})


def load_servable(
    store: Store,
    name: str,
    version: int | None = None,
    *,
    reuse: Mapping[str, Member] = _NONE,
    threads: int = 0,
    merger: Merger | None = None,
) -> Servable:
    """Load `version` of an ensemble (None: the current one), every byte checked against the manifest.

    Members in `reuse`, by digest, are not loaded again. `threads` may work on one batch; 0: one a core.
    With a `merger`, voters that run faster as one graph are ready to run so.
    InvalidModelError if this release can't serve it, StoreError if the store doesn't hold it whole.
    """
    manifest = store.manifest(name, version)
    form = manifest.pool.get("form")
    if form != POOL_FORM:
        raise InvalidModelError(
            f"version {manifest.version} of {name!r} has a pool of form {form!r}; "
            f"this release serves {POOL_FORM!r}"
        )
    weights = Weights(store.weights(manifest))
    servable = Servable(
        name=name,
        version=manifest.version,
        signature=signature_of(manifest.signature, f"version {manifest.version} of {name!r}"),
        classes=manifest.classes,
        members=tuple(_member(store, manifest, record, reuse, threads) for record in manifest.members),
        weights=weights,
        pool=LinearPool(weights),
    )
    if merger is None:
        return servable
    blobs = {record.name: served_blob(record) for record in manifest.members}
    together = merger.merged(servable.voters, lambda member: store.read_blob(name, blobs[member]))
    return replace(servable, together=together)


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


def _member(
    store: Store, manifest: Manifest, record: MemberRecord, reuse: Mapping[str, Member], threads: int
) -> Member:
    """Return one member: the loaded one, if it is the same in every respect, or a new one."""
    signature = signature_of(record.signature, f"member {record.name!r}")
    loaded = reuse.get(record.digest)
    if loaded is not None and loaded.name == record.name and loaded.signature == signature:
        return loaded
    path = store.blob_path(manifest.ensemble, served_blob(record))
    return OnnxMember.open(path, name=record.name, digest=record.digest, signature=signature, threads=threads)
