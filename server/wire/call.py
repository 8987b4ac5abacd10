"""What an RPC method knows about the call beside its message: nothing of gRPC."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType

from ensemble.errors import DeadlineError


@dataclass(slots=True)
class Call:
    """One call. Methods read the deadline and the metadata, and note which version answered."""

    deadline: float  # on the event loop's clock, in seconds
    metadata: Mapping[str, str] = field(default_factory=dict)
    authorization: str = field(default="", repr=False)  # the header of that name, which metadata lacks
    # For the metrics. Empty until a served model was found, so that names made up by clients never
    # become metric labels.
    model: str = ""
    version: str = ""

    def answered_by(self, model: str, version: int) -> None:
        """Note the model that was found and the version of it that answers."""
        self.model, self.version = model, str(version)


class Until:
    """Ends the block at `deadline`, on the loop's clock, with DeadlineError."""

    __slots__ = ("_limit",)

    def __init__(self, deadline: float) -> None:
        self._limit = asyncio.timeout_at(deadline)

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Raises TimeoutError only if it was this limit that ended the block.
        try:
            await self._limit.__aexit__(kind, error, trace)
        except TimeoutError as late:
            raise DeadlineError("deadline passed before the scores were there") from late
