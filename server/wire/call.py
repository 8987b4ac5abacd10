"""What an RPC method knows about the call beside its message: nothing of gRPC."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Call:
    """One call. Methods read the deadline and the metadata, and note which version answered."""

    deadline: float  # on the event loop's clock, in seconds
    metadata: Mapping[str, str] = field(default_factory=dict)
    # For the metrics. Empty until a served model was found, so that names made up by clients never
    # become metric labels.
    model: str = ""
    version: str = ""

    def answered_by(self, model: str, version: int) -> None:
        """Note the model that was found and the version of it that answers."""
        self.model, self.version = model, str(version)
