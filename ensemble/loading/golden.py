"""Golden outputs: some rows and the scores that a version gave to them when it was published.

Bytes that are whole can still give other scores: another release of a runtime, another processor, a kernel
with a fault. So whoever loads a version asks it these rows again, before anybody else does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from zlib import crc32

import numpy as np

from model_store.errors import StoreCorruptError
from model_store.manifest import GoldenRecord, Manifest
from model_store.store import Store

from ..errors import GoldenMismatchError, MemberError
from ..member import Rows, Scores
from ..pooling.pool import Pool
from ..runtimes.sample import random_rows
from ..runtimes.trial import distance
from ..servable import Servable
from ..signature import Signature
from . import arrays

ROWS = 8
# How far scores may move; absolute for scores up to 1, relative above. Rounding on another processor moves
# them by a millionth; a fault, or reduced precision, by far more.
TOLERANCE = 1e-4
_ENSEMBLE, _MEMBER = "ensemble", "member."


def golden_rows(signature: Signature, sample: Rows | None) -> Rows:
    """Return the first rows of `sample`, or made-up ones: the same for an input whatever others there are."""
    if sample is not None:
        return {spec.name: sample[spec.name][:ROWS].astype(spec.dtype) for spec in signature.inputs}
    rows: dict[str, np.ndarray] = {}
    for spec in signature.inputs:
        alone = Signature((spec,), signature.outputs)
        rows |= random_rows(alone, ROWS, seed=crc32(spec.name.encode()))
    return rows


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """Rows, and what each member, by name, and the ensemble give to them."""

    rows: Rows
    members: Mapping[str, Scores]
    scores: Scores

    @classmethod
    def of(cls, rows: Rows, members: Mapping[str, Scores], pool: Pool) -> Self:
        """Pool what the members gave."""
        return cls(rows, members, pool(members))

    @classmethod
    def asked(cls, servable: Servable) -> Self:
        """Ask a version that is loaded, on made-up rows."""
        rows = golden_rows(servable.signature, None)
        return cls.of(rows, {member.name: member.predict(rows) for member in servable.members}, servable.pool)

    @classmethod
    def read(cls, store: Store, manifest: Manifest) -> Self | None:
        """Read what was kept with a version; None if it is older than golden outputs. StoreCorruptError."""
        kept = manifest.draft.golden
        if kept is None:
            return None
        whose = f"of version {manifest.version} of {manifest.ensemble!r}"
        rows = arrays.read(store.read_blob(manifest.ensemble, kept.rows), f"the golden rows {whose}")
        scores = arrays.read(store.read_blob(manifest.ensemble, kept.scores), f"the golden scores {whose}")
        members = {record.name: _MEMBER + record.name for record in manifest.members}
        if scores.keys() != {_ENSEMBLE, *members.values()}:
            raise StoreCorruptError(
                f"the golden scores {whose} are of {sorted(scores)}, not of its members: publish it again"
            )
        return cls(rows, {name: scores[key] for name, key in members.items()}, scores[_ENSEMBLE])

    def put(self, store: Store, name: str) -> GoldenRecord:
        """File this for a version of `name`; the rows are shared with the versions that have the same."""
        members = {_MEMBER + member: scores for member, scores in self.members.items()}
        return GoldenRecord(
            store.put_blob(name, arrays.write(self.rows)),
            store.put_blob(name, arrays.write({**members, _ENSEMBLE: self.scores})),
            TOLERANCE,
        )

    def check(self, servable: Servable, tolerance: float) -> None:
        """Ask `servable` the rows again; GoldenMismatchError if it, or a member, gives other scores.

        Without a member that is absent the ensemble is bound to: then the others alone are compared.
        """
        whose = f"version {servable.version} of {servable.name!r}"
        found = {}
        for member in servable.members:
            if member.name in servable.absent:
                continue
            try:
                found[member.name] = member.predict(self.rows)
            except MemberError as error:
                raise GoldenMismatchError(f"{whose} can't score its golden rows: {error}") from error
            _compare(
                f"member {member.name!r} of {whose}", found[member.name], self.members[member.name], tolerance
            )
        if not servable.absent:
            _compare(whose, servable.pool(found), self.scores, tolerance)


def _compare(whose: str, found: Scores, kept: Scores, tolerance: float) -> None:
    """Raise GoldenMismatchError if `found` isn't what was kept."""
    if found.shape != kept.shape:
        raise GoldenMismatchError(
            f"{whose} gives scores of shape {found.shape}, not {kept.shape} as published: publish it again"
        )
    error = distance(found, kept)
    # Of two kinds of NaN, distance says that they are as far apart as can be.
    if error > tolerance:
        raise GoldenMismatchError(
            f"{whose} gives scores that differ by {error:.3g} from those kept when it was published; "
            f"{tolerance:.3g} may be: the runtime's release or the processor computes otherwise; serve it "
            "where it was published, or publish it again here"
        )
