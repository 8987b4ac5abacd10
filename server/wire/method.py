"""One RPC method, as any transport can bind it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf.message import DecodeError

from ensemble.errors import InvalidRequestError
from ensemble.servable import Scored
from server.batching.promise import Promise

from .call import Call


class Codec(Protocol):
    """How one call's request is read from bytes, and its response written."""

    def read(self, data: bytes) -> Any:
        """Make the method's request, or a task that does where it takes long.

        Raises what the method itself may raise.
        """
        ...

    def write(self, response: Any) -> bytes:
        """Write the method's response."""
        ...


class Shortened(Protocol):
    """One call that need not be read as a message."""

    def begin(self, call: Call, promise: Promise) -> Callable[[], None] | None:
        """Have it answered by and by; return how to call that off. None if it is to go the plain way.

        Raises what the method's function may raise.
        """
        ...

    def answer(self, scored: Scored) -> bytes:
        """Write the response."""
        ...


class Shortcut(Protocol):
    """A quicker way to the same answers, for some of a method's calls."""

    def read(self, data: bytes, now: float) -> Shortened | None:
        """Read a request; None if it is to go the plain way. `now` is on the event loop's clock."""
        ...


@dataclass(frozen=True, slots=True)
class Method:
    """A name, two message classes and an async function of (message, call) that returns a message.

    The function raises the errors of `ensemble.errors` and `model_store.errors`; `status` maps them.
    """

    service: str
    name: str
    request: type[Any]
    response: type[Any]
    function: Callable[[Any, Call], Awaitable[Any]]
    # Set for a method whose requests come on a stream: makes the answer to one that failed with this text.
    # The request is None if its bytes could not be read.
    refuse: Callable[[Any, str], Any] | None = None
    # Set for a method whose calls wait for the members: refused while that wait is too long.
    scores: bool = False
    # How long a call may take at most, if that isn't the same for all.
    longest_secs: float | None = None
    # Set for a method that need not read all of its calls as messages.
    shortcut: Shortcut | None = None

    def read(self, data: bytes) -> Any:
        """Read a request as protobuf writes it. Raises InvalidRequestError."""
        try:
            return self.request.FromString(data)
        except DecodeError as error:
            raise InvalidRequestError(f"the bytes are not a {self.request.__name__}") from error

    def write(self, response: Any) -> bytes:
        """Write a response as protobuf does."""
        written: bytes = response.SerializeToString()
        return written
