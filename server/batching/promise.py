"""Who waits for scores."""

from typing import Protocol

from ensemble.servable import Scored


class Promise(Protocol):
    """A future, or what behaves like one: told once, unless it is done by then. Telling it never fails."""

    def done(self) -> bool:
        """Whether nobody waits any more."""
        ...

    def set_result(self, result: Scored) -> None:
        """Take the scores."""
        ...

    def set_exception(self, error: Exception) -> None:
        """Take what went wrong."""
        ...
