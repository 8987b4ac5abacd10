"""How far the training is."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of the member being trained; `loss` is its log-loss on the rows that decide when to stop."""

    member: str
    epoch: int  # epochs done
    epochs: int  # at most
    loss: float | None  # None before the first epoch ends, and for a forest


OnProgress = Callable[[Progress], None]
