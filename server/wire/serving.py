"""What the wire asks of the rest of the server, and the rules by which a model is found.

A model is an ensemble, or one member of it, `NAME.member`. `version` is what a client sends: a decimal
number, or empty for the current version.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ensemble.errors import EnsembleError, InvalidRequestError, ModelNotFoundError, UnavailableError
from ensemble.member import Rows, Scores
from ensemble.signature import Signature
from ensemble.truth import Truth
from server.batching.promise import Promise
from server.lifecycle.repository import IndexEntry

# A signed 64-bit number has no more digits; a longer one is no version of anything.
MAX_VERSION_DIGITS = 18


class UnknownSignatureError(EnsembleError):
    """The model has no signature of that name: only TensorFlow Serving's clients name any."""


@dataclass(frozen=True, slots=True)
class Step:
    """A member that an ensemble asks, as a model of its own."""

    model: str
    signature: Signature


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One version of a model, as clients see it. `max_batch_size` counts rows; 0 means no limit."""

    name: str
    version: int
    versions: tuple[int, ...]  # all that are ready
    signature: Signature
    classes: tuple[str, ...]
    max_batch_size: int
    platform: str
    backend: str = ""  # of a member: what executes it
    steps: tuple[Step, ...] = ()  # of an ensemble: the members that weigh something
    truth: Truth = Truth.CLASSES  # what the scores are about


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a request's rows came to, and the version that says so.

    `by_member` and `weights` are of the members that were asked, in order; the first is empty unless the
    request wanted it. `missing` names the members that the scores are pooled without.
    """

    version: int
    scores: Scores  # [row, class]
    by_member: Mapping[str, Scores] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()


class Models(Protocol):
    """The models served. Implemented where the server is put together."""

    def ready(self) -> bool:
        """Whether every model that should be served is."""
        ...

    def find(self, name: str, version: str) -> ModelInfo:
        """Describe one model; raise what `find_version` raises."""
        ...

    async def infer(
        self,
        name: str,
        version: str,
        decode: Callable[[ModelInfo], Rows],
        deadline: float,
        *,
        members: bool = False,
    ) -> Answer:
        """Decode and score rows against one and the same version; with `members`, theirs too.

        `deadline` is on the event loop's clock. Raises what `find`, `decode` and the batcher raise.
        """
        ...

    def begin(
        self, asked: tuple[str, str], info: ModelInfo, rows: Rows, deadline: float, promise: Promise
    ) -> Callable[[], None] | None:
        """Score rows that were decoded against `info`, and tell `promise`; return how to call that off.

        None if the model and version that are `asked` for are no longer what `info` says, or the rows are
        more than a batch. Raises what `find` and the batcher raise.
        """
        ...

    def names(self) -> list[str]:
        """Every model's name."""
        ...


class Repository(Protocol):
    """What is published, and which of it is served."""

    async def index(self) -> list[IndexEntry]:
        """List every model that is published, and the members of those that are served."""
        ...

    async def load(self, name: str) -> None:
        """Serve the current version of the ensemble; raise what loading raises."""
        ...

    async def unload(self, name: str) -> None:
        """Serve the ensemble no more, until it is loaded again."""
        ...


def requested_version(version: str) -> int | None:
    """Read a version as clients send it; None means the current one."""
    if not version:
        return None
    digits = version.isascii() and version.isdecimal() and len(version) <= MAX_VERSION_DIGITS
    if not digits or int(version) == 0:
        raise InvalidRequestError(
            f"failed to get model version from specified version string '{version}' (details: stol), "
            "version should be an integral value > 0"
        )
    return int(version)


def find_version(
    name: str, version: str, *, ready: Collection[int] | None, loading: Collection[int] = (), current: int = 0
) -> int:
    """Choose the version that answers: the one asked for, or `current`, or else the newest ready.

    `ready` is None if no model of that name is served. Raises InvalidRequestError for a version that
    is no number, ModelNotFoundError, and UnavailableError for a version that is still loading.
    """
    wanted = requested_version(version)
    subject = f"Request for unknown model: '{name}'"
    if ready is None:
        raise ModelNotFoundError(f"{subject} is not found")
    if wanted is None:
        if not ready:
            raise ModelNotFoundError(f"{subject} has no available versions")
        return current if current in ready else max(ready)
    if wanted in ready:
        return wanted
    if wanted in loading:
        raise UnavailableError(f"{subject} version {wanted} is not at ready state")
    raise ModelNotFoundError(f"{subject} version {wanted} is not found")
