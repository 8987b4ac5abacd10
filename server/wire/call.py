"""What an RPC method knows about the call beside its message: nothing of gRPC."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

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


@asynccontextmanager
async def until(deadline: float) -> AsyncIterator[None]:
    """End the block at `deadline`, on the loop's clock, with DeadlineError."""
    limit = asyncio.timeout_at(deadline)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise DeadlineError("deadline passed before the scores were there") from error
