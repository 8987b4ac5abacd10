"""From a published version to a servable, trusting nothing that wasn't checked on the way."""

import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from model_store.errors import StoreCorruptError, StoreUnavailableError
from model_store.manifest import BlobRef, Manifest, MemberRecord
from model_store.store import Store

from ..errors import InvalidModelError, MemberError
from ..member import Member
from ..pooling.forms import pool_of
from ..pooling.pool import Pool
from ..runtimes.batch_size import BatchSize, batch_size
from ..runtimes.measurements import Measurements
from ..runtimes.merged import Merger
from ..runtimes.opening import Open, open_plainly
from ..runtimes.source import KERAS, ONNX, Source
from ..servable import Servable
from ..signature import Signature
from ..truth import truth_of
from ..weights import Weights
from .golden import Golden
from .keras_file import check_keras_file
from .missing import AbsentMember, learned_without

log = logging.getLogger("unisono.loading")

_NONE: Mapping[str, Member] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Batches:
    """How large batches may be: `most` rows, or if that is 0 as many as are measured to be enough.

    If `sizes` are given, in order, batches are of these sizes alone.
    """

    measurements: Measurements
    most: int = 0
    sizes: tuple[int, ...] = ()

    def of(self, servable: Servable, sources: Mapping[str, Source], threads: int = 0) -> BatchSize:
        """Return the batch size for `servable`, on `threads`: wished for, kept, or measured now."""
        if self.sizes or self.most:
            return BatchSize(self.sizes[-1] if self.sizes else self.most)
        together = () if servable.together is None else sorted(servable.together.names)
        facts = [f"{sources[voter.name].model} {voter.runtime}" for voter in servable.voters]
        facts += [f"together: {together}", f"threads: {threads}"]
        return batch_size(self.measurements, facts, servable.signature, servable.run)


@dataclass(frozen=True, slots=True)
class Runtimes:
    """What runs the members: `open` opens each, and `merger`, if given, makes one graph of those it can.

    `batches` says how many rows to give them at once. At least `quorum` of the members that weigh
    something have to be loaded, 0: every member.
    """

    open: Open = open_plainly
    merger: Merger | None = None
    batches: Batches | None = None
    quorum: int = 0


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
    sources = {record.name: source_of(store, name, record) for record in manifest.members}
    members, absent = _members(sources, weights, reuse, (runtimes, threads))
    servable = Servable(
        name=name,
        version=manifest.version,
        signature=signature_of(manifest.signature, f"version {manifest.version} of {name!r}"),
        classes=manifest.classes,
        members=members,
        weights=weights,
        pool=_pool(manifest, weights),
        without=learned_without(manifest),
        absent=absent,
        truth=truth_of(record.output for record in manifest.members),
    )
    golden, kept = Golden.read(store, manifest), manifest.draft.golden
    if golden is not None and kept is not None:
        golden.check(servable, kept.tolerance)
    if absent:
        # What can be run together is another matter now, and for a time only.
        return servable
    if runtimes.merger is not None:
        servable = replace(servable, together=runtimes.merger.merged(servable.voters, sources))
    if runtimes.batches is not None:
        most = runtimes.batches.of(servable, sources, threads).rows
        servable = replace(servable, max_batch_size=most, batch_sizes=runtimes.batches.sizes)
    return servable


def _members(
    sources: Mapping[str, Source], weights: Weights, reuse: Mapping[str, Member], how: tuple[Runtimes, int]
) -> tuple[tuple[Member, ...], frozenset[str]]:
    """Return the members, and the names of those that could not be loaded and may be missing."""
    (runtimes, threads), failed = how, dict[str, Exception]()
    members: list[Member] = []
    for name, source in sources.items():
        try:
            members.append(_member(source, reuse, runtimes.open, threads))
        except (StoreCorruptError, InvalidModelError, MemberError) as error:
            if not runtimes.quorum:
                raise
            failed[name] = error
            members.append(AbsentMember(name, source.digest, source.signature, str(error)))
    voters = {name for name, weight in weights.by_member.items() if weight > 0}
    if failed and len(voters - failed.keys()) < min(runtimes.quorum, len(voters)):
        raise next(iter(failed.values()))
    for name, why in failed.items():
        log.error("member %s can't be loaded, and is served without: %s", name, why)
    return tuple(members), frozenset(failed)


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
    if "onnx" in record.derived:
        return record.derived["onnx"].blob
    if record.format == "onnx" and not record.adapted:
        return record.blob
    raise InvalidModelError(
        f"member {record.name!r} has the format {record.format!r} and no ONNX file made from it; "
        "publish it again"
    )


def source_of(store: Store, ensemble: str, record: MemberRecord) -> Source:
    """Describe a member as runtimes open it: from private copies, checked as they are made.

    The store's own file might be exchanged between check and use.
    """
    served = served_blob(record)

    @contextmanager
    def copied(wanted: str) -> Iterator[Path]:
        if wanted not in formats:
            raise InvalidModelError(
                f"member {record.name!r} is of {record.format!r} and served as {sorted(formats)}, "
                f"not {wanted!r}"
            )
        ref = served if wanted == ONNX else record.blob
        with _private_folder() as folder:
            # Keras tells formats by the file's name.
            path = Path(folder) / (f"{ref.digest}.keras" if wanted == KERAS else ref.digest)
            store.copy_blob(ensemble, ref, path)
            if wanted == KERAS:
                _check_original(path)
            yield path

    signature = signature_of(record.signature, f"member {record.name!r}")
    # Only the ONNX file of an adapted member takes the ensemble's inputs and gives its scores.
    formats = frozenset({ONNX} if record.adapted else {ONNX, record.format})
    return Source(record.name, record.digest, signature, served.digest, copied, formats)


def _check_original(path: Path) -> None:
    """Refuse a `.keras` file that Keras should not be given; InvalidModelError."""
    from .weights_file import check_weights  # noqa: PLC0415 - h5py is an extra, and slow to import

    check_keras_file(path)
    check_weights(path)


def _private_folder() -> tempfile.TemporaryDirectory[str]:
    """Make a folder that this user alone may enter; StoreUnavailableError where there is no place for one."""
    try:
        return tempfile.TemporaryDirectory(prefix="unisono-load-")
    except OSError as error:
        raise StoreUnavailableError(
            f"no temporary folder can be made to load members from: {error.strerror}; set TMPDIR to one that "
            "is writable"
        ) from error


def _member(source: Source, reuse: Mapping[str, Member], opener: Open, threads: int) -> Member:
    """Return one member: the loaded one, if it is the same in every respect, or a new one."""
    loaded = reuse.get(source.digest)
    if loaded is not None and loaded.name == source.name and loaded.signature == source.signature:
        return loaded
    return opener(source, threads)
