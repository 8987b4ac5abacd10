"""One call as whoever answers it sees it."""

from collections.abc import Mapping
from typing import Protocol


class Sender(Protocol):
    """What a call says of who makes it."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """The text metadata, without the token."""
        ...

    @property
    def authorization(self) -> str:
        """The header with the token, empty if there is none: apart, so that no method shows it to anyone."""
        ...


class Incoming(Sender, Protocol):
    """One call as its transport sees it."""

    def time_remaining(self) -> float | None:
        """Return the seconds until the caller's deadline; None if it has none."""
        ...

    async def read(self) -> bytes | None:
        """Read the next message; None says that no more come."""
        ...

    async def write(self, data: bytes) -> None:
        """Send one message of several."""
        ...


class WholeHead(Sender, Protocol):
    """What a call begins with."""

    def timeout_secs(self) -> float | None:
        """Return how long its client waits, if it says so; EnsembleError if that is no time."""
        ...
