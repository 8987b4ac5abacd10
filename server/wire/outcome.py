"""How one request, or one call, ends: with a status, and with what is written before it."""

from dataclasses import dataclass

import grpc

from ensemble.errors import EnsembleError


@dataclass(frozen=True, slots=True)
class Outcome:
    """A code and its text, and what to write."""

    code: grpc.StatusCode
    text: str = ""
    data: bytes = b""
    trailing: tuple[tuple[str, str], ...] = ()  # metadata after it, where the call ends with it


class MessageTooLargeError(EnsembleError):
    """A message has more bytes than the server takes or gives."""

    def __init__(self, what: str, size: int, most: int) -> None:
        super().__init__(f"{what} larger than max ({size} vs. {most} bytes); send less at once")
