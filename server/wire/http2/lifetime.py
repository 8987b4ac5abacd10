"""When a connection is asked whether anybody is there, told to go elsewhere, and cut off. Knows no clock."""

from dataclasses import dataclass
from enum import Enum, auto


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What a connection may do; seconds and bytes."""

    streams: int = 1024
    header_bytes: int = 16 * 2**10
    age_secs: float = 600.0
    grace_secs: float = 610.0  # after its age, for the calls that run
    silence_secs: float = 60.0
    answer_secs: float = 20.0  # also to take some of an answer
    greeting_secs: float = 20.0  # and as long for TLS before it
    connections: int = 2**14  # of all clients


class Step(Enum):
    """What is to be done with a connection now."""

    NOTHING = auto()
    PING = auto()
    ABORT = auto()  # nobody answers
    LEAVE = auto()  # say that it ends
    LEAVE_NOW = auto()  # take no more calls
    CLOSE = auto()


class Lifetime:
    """One connection's age and silence. Set `heard` whenever anything comes."""

    def __init__(self, limits: ConnectionLimits, now: float) -> None:
        self._limits = limits
        self._born = self._heard_at = now
        self._pinged_at: float | None = None
        self._left_at: float | None = None
        self.heard = True

    @property
    def leaving(self) -> bool:
        """Whether the client was told to go elsewhere."""
        return self._left_at is not None

    def leave(self, now: float) -> None:
        """Note that it was told."""
        self._left_at = now

    def step(self, now: float, *, greeted: bool = True) -> Step:
        """Say what is due; asked about once a second, and believed to be done."""
        limits = self._limits
        if not greeted:
            return Step.ABORT if now - self._born >= limits.greeting_secs else Step.NOTHING
        if self.heard:
            self.heard, self._heard_at, self._pinged_at = False, now, None
        elif self._pinged_at is not None:
            if now - self._pinged_at >= limits.answer_secs:
                return Step.ABORT
        elif now - self._heard_at >= limits.silence_secs:
            self._pinged_at = now
            return Step.PING
        if self._left_at is None:
            return Step.LEAVE if now - self._born >= limits.age_secs else Step.NOTHING
        return Step.CLOSE if now - self._left_at >= limits.grace_secs else Step.LEAVE_NOW
