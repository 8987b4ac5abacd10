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
from model_store.manifest import Derived, Draft, Manifest, MemberRecord
from model_store.names import check_name
from model_store.store import Store
from model_store.weights import weights_json

from ..errors import InvalidModelError, InvalidWeightsError
from ..loading.convert import TOLERANCE
from ..loading.formats import Format
from ..loading.golden import Golden, golden_rows
from ..member import Rows
from ..pooling.linear import LinearPool
from ..weights import Weights
from .adapting import Meaning, adapt_members
from .agreement import ensemble_signature
from .golden_scores import golden_scores
from .inputs import take_inputs
from .prepare import Prepared, Wishes, prepare


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """What is said about the files. `classes` None: "0", "1", ...; `weights` None: all alike.

    `member_classes` are the names of a member's columns in its own order, `kinds` says what they are, see
    `outputs.KINDS`; both are found out where they are left out. `outputs` says which output of a member is
    the scores, where it has several; `inputs`, by member, the ensemble's inputs by the member's own names.
    `sample`: real rows to compare converted members on, besides made-up ones, under every name of an input;
    `tolerance`: how far a conversion may be off. `allowed`: formats that are taken only if asked for.
    `expect_seq` and `publish_id` are those of `Store.publish`.
    """

    classes: tuple[str, ...] | None = None
    member_classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    weights: Mapping[str, float] | None = None
    by: str = ""
    why: str = ""
    sample: Rows | None = None
    tolerance: float = TOLERANCE
    allowed: frozenset[Format] = frozenset()
    expect_seq: int | None = None
    publish_id: str | None = None

    @property
    def meaning(self) -> Meaning:
        """What is said about scores."""
        return Meaning(self.classes, self.member_classes, self.kinds)


def publish(store: Store, name: str, files: Mapping[str, Path], options: PublishOptions) -> Entry:
    """Publish `files`, by member name, as a new version of `name`; return its journal entry.

    InvalidModelError, InvalidWeightsError or StoreError, and nothing published, if anything is wrong.
    """
    _check_names(name, files, options)
    weights = _weights(files, options.weights)
    earlier = _earlier(store, name)
    known = _known(earlier, options)
    wishes = Wishes(options.outputs, options.sample, options.tolerance, options.allowed, known)
    with tempfile.TemporaryDirectory(prefix="unisono-publish-") as work:
        members = prepare(files, Path(work), wishes)
        members = take_inputs(members, Path(work), options.inputs, options.sample)
        members, classes = adapt_members(members, Path(work), options.meaning, options.sample)
        signature = ensemble_signature(
            {member: made.signature for member, made in members.items()}, len(classes)
        )
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
    for what, named in (("scores outputs", options.outputs), ("inputs", options.inputs)):
        unknown = sorted(set(named) - set(files))
        if unknown:
            raise InvalidModelError(f"{what} are named for {unknown}; the members are {sorted(files)}")


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


def _known(earlier: list[Manifest], options: PublishOptions) -> dict[str, MemberRecord]:
    """Return members published before, by the digest of their file, if nothing new is said about any.

    One that was adapted is left out: that depends on the other members, and is done anew.
    """
    if options.member_classes or options.kinds or options.inputs:
        return {}
    records = (record for manifest in earlier for record in manifest.members)
    return {record.blob.digest: record for record in records if not record.adapted}


def _record(store: Store, name: str, member: Prepared) -> MemberRecord:
    """File a member's bytes and describe it."""
    derived = {}
    if member.earlier is not None:
        derived = dict(member.earlier.derived)
    elif member.converted is not None:
        derived = {"onnx": Derived(store.put_blob(name, member.converted), dict(member.parity or {}))}
    blob = store.put_blob(name, member.file)
    signature = member.signature.to_json()
    return MemberRecord(member.name, member.format, blob, signature, derived, member.output, member.inputs)
