"""Who a connection's calls are for."""

from typing import TYPE_CHECKING, Protocol

from ..head import Head

if TYPE_CHECKING:
    from .stream import CallStream


class Cancellable(Protocol):
    """What answers a call."""

    def cancel(self) -> object:
        """End it: nobody is there to be answered."""
        ...


class Taker(Protocol):
    """Who calls are for."""

    def refuse(self, head: Head) -> bytes | None:
        """Write the headers that refuse a call by its own; None if it is to be taken."""
        ...

    def wants_all(self, head: Head) -> bool:
        """Whether a call is better begun when its request is there as a whole."""
        ...

    def shorten(self, stream: "CallStream") -> Cancellable | None:
        """Answer a call whose request is there as a whole, if that can be done without a task."""
        ...

    async def take(self, head: Head, stream: "CallStream") -> None:
        """Answer any other call."""
        ...
