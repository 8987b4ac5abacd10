"""When a version is tried again that could not be taken up, and what its failure is called.

Rule 1: what may be over by itself (a disk, a network, memory) is tried again for ever, ever more seldom.
Rule 2: what lies in the version's own bytes is tried a few times, in case it is being mended, and then
never again, until somebody asks for it or it is published anew.
Rule 3: members that a version is served without are tried again for ever, ever more seldom.
Rule 4: this file decides; it never waits and never reads a clock.
"""

from dataclasses import dataclass
from math import inf

from ensemble.errors import GoldenMismatchError, InvalidModelError, InvalidWeightsError
from model_store.errors import StoreCorruptError, StoreError, VersionNotFoundError

# Class -> its word in the metric; the first that fits counts. Those of `LASTING` lie in the bytes.
REASONS: tuple[tuple[type[Exception], str], ...] = (
    (GoldenMismatchError, "golden"),
    (StoreCorruptError, "digest"),
    (InvalidModelError, "model"),
    (InvalidWeightsError, "model"),
    (VersionNotFoundError, "gone"),
    (StoreError, "store"),
)
OTHER = "other"
# A version is served, and still without some of its members.
ABSENT = "absent"
LASTING = frozenset({"golden", "digest", "model"})


@dataclass(frozen=True, slots=True)
class RetryOptions:
    """Seconds until the first retry, the most between two, and how often what lies in the bytes is tried."""

    first: float = 2.0
    last: float = 60.0
    tries: int = 3


def reason_of(error: Exception) -> str:
    """Name in one word why a version could not be taken up."""
    return next((word for kind, word in REASONS if isinstance(error, kind)), OTHER)


def rest(tries: int, reason: str, options: RetryOptions) -> float:
    """Return for how many seconds to leave a version alone that failed `tries` times; inf is for good."""
    if reason in LASTING and tries >= options.tries:
        return inf
    # The exponent is bounded only so that it stays a number.
    return min(options.first * 2.0 ** min(tries - 1, 64), options.last)
