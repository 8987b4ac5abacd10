"""What stands in for members that can't be loaded, and the pools that were learned for days without one."""

from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from model_store.manifest import Manifest

from ..errors import EnsembleError, MemberError
from ..member import Rows, Scores
from ..pooling.forms import pool_of
from ..pooling.pool import Pool
from ..signature import Signature
from ..weights import Weights


@dataclass(frozen=True, slots=True)
class AbsentMember:
    """A member that could not be loaded, and why: it keeps its place, and scores nothing."""

    runtime: ClassVar[str] = "absent"

    name: str
    digest: str
    signature: Signature
    reason: str

    def predict(self, rows: Rows) -> Scores:  # noqa: ARG002 - as every member's
        """Raise MemberError."""
        raise MemberError(f"member {self.name!r} could not be loaded: {self.reason}")


def learned_without(manifest: Manifest) -> dict[str, Pool]:
    """Return, by member, what to pool with while it is missing, as far as the version's evidence says it."""
    found = {}
    for name, told in (manifest.evidence.get("without") or {}).items():
        # Evidence is free JSON; what can't be read is as if it were not there.
        with suppress(KeyError, TypeError, ValueError, EnsembleError):
            weights = Weights({member: float(told["weights"][member]) for member in manifest.draft.digests})
            if weights.by_member[name] == 0:
                found[name] = pool_of(told["pool"], weights)
    return found
