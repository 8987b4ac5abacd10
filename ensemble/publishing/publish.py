"""Publish model files as a new version of an ensemble.

files -> formats -> conversion -> trial -> agreement -> blobs -> draft -> journal entry. All is checked
before the first blob is written, and only the journal entry makes a version: an error publishes nothing.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from model_store.errors import EnsembleNotFoundError
from model_store.journal import Entry
from model_store.manifest import Derived, Draft, Manifest, MemberRecord, weights_json
from model_store.names import check_name
from model_store.store import Store

from ..errors import InvalidModelError, InvalidWeightsError
from ..loading.convert import TOLERANCE
from ..loading.golden import Golden, golden_rows
from ..member import Rows
from ..pooling.linear import LinearPool
from ..weights import Weights
from .agreement import class_names, ensemble_signature, one_class_count
from .golden_scores import golden_scores
from .prepare import Prepared, Wishes, prepare


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """What is said about the files. `classes` None: "0", "1", ...; `weights` None: all alike.

    `outputs` says which output of a member is the scores, where it has several. `sample`: real rows to
    compare Keras' answers on, besides made-up ones; `tolerance`: how far the conversion may be off.
    `expect_seq` and `publish_id` are those of `Store.publish`.
    """

    classes: tuple[str, ...] | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, float] | None = None
    by: str = ""
    why: str = ""
    sample: Rows | None = None
    tolerance: float = TOLERANCE
    expect_seq: int | None = None
    publish_id: str | None = None


def publish(store: Store, name: str, files: Mapping[str, Path], options: PublishOptions) -> Entry:
    """Publish `files`, by member name, as a new version of `name`; return its journal entry.

    InvalidModelError, InvalidWeightsError or StoreError, and nothing published, if anything is wrong.
    """
    _check_names(name, files, options)
    weights = _weights(files, options.weights)
    earlier = _earlier(store, name)
    known = {record.digest: record for manifest in earlier for record in manifest.members}
    wishes = Wishes(options.outputs, options.sample, options.tolerance, known)
    with tempfile.TemporaryDirectory(prefix="unisono-publish-") as work:
        members = prepare(files, Path(work), wishes)
        count = one_class_count({member: prepared.classes for member, prepared in members.items()})
        classes = class_names(count, options.classes)
        signature = ensemble_signature({member: made.signature for member, made in members.items()}, count)
        rows = golden_rows(signature, options.sample)
        scores = golden_scores(store, earlier, members, rows)
        pool = LinearPool(weights)
        records = tuple(_record(store, name, prepared) for prepared in members.values())
        digests = {record.name: record.digest for record in records}
        draft = Draft(
            members=records,
            classes=classes,
            signature=signature.to_json(),
            pool=pool.to_json(),
            weights=store.put_blob(name, weights_json(weights.by_member, digests)),
            evidence={},
            parent=None,
            golden=Golden.of(rows, scores, pool).put(store, name),
        )
        return store.publish(
            name,
            draft,
            by=options.by,
            why=options.why,
            expect_seq=options.expect_seq,
            publish_id=options.publish_id,
        )


def _check_names(name: str, files: Mapping[str, Path], options: PublishOptions) -> None:
    """Refuse names that can't be, before anything is read."""
    check_name(name, "ensemble")
    for member in files:
        check_name(member, "member")
    if not files:
        raise InvalidModelError(f"ensemble {name!r} needs a member; name one: --member NAME=FILE")
    unknown = sorted(set(options.outputs) - set(files))
    if unknown:
        raise InvalidModelError(f"scores outputs are named for {unknown}; the members are {sorted(files)}")


def _weights(files: Mapping[str, Path], given: Mapping[str, float] | None) -> Weights:
    """Return the weights to publish; InvalidWeightsError unless they are for these members."""
    if given is None:
        return Weights.uniform(files)
    if set(given) != set(files):
        raise InvalidWeightsError(f"weights name {sorted(given)}; the members are {sorted(files)}")
    return Weights(dict(given))


def _earlier(store: Store, name: str) -> list[Manifest]:
    """Return the manifests of all versions, oldest first."""
    try:
        versions = store.versions(name)
    except EnsembleNotFoundError:
        return []
    return [store.manifest(name, version) for version in versions]


def _record(store: Store, name: str, member: Prepared) -> MemberRecord:
    """File a member's bytes and describe it."""
    derived = {}
    if member.earlier is not None:
        derived = dict(member.earlier.derived)
    elif member.converted is not None:
        derived = {"onnx": Derived(store.put_blob(name, member.converted), dict(member.parity or {}))}
    blob = store.put_blob(name, member.file)
    return MemberRecord(member.name, member.format, blob, member.signature.to_json(), derived)
