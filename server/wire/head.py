"""What a call begins with, over HTTP/2: its path and its headers, whoever reads them off the wire."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from . import framing

Pairs = Sequence[tuple[bytes, bytes]]

# HTTP/2 counts so much for each header beside its name and value.
HEADER_BYTES = 32
# Not for the methods: HTTP's and gRPC's own. Those that end in -bin hold bytes.
OWN_HEADERS = frozenset(
    {"te", "content-type", "grpc-timeout", "grpc-encoding", "grpc-accept-encoding", "host"}
)
BINARY = "-bin"
AUTHORIZATION = "authorization"
GRPC = "application/grpc"


@dataclass(frozen=True, slots=True)
class Head:
    """A call's head. `metadata` is the text that is the callers' own, without the token."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    metadata: Mapping[str, str]
    metadata_bytes: int  # of all headers, as HTTP/2 counts them

    @classmethod
    def of(cls, pairs: Pairs, method: str = "", path: str = "") -> Self:
        """Read headers; those that begin with a colon are HTTP/2's own, and say method and path."""
        texts = {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}
        headers = {name: value for name, value in texts.items() if name[:1] != ":"}
        size = sum(len(name) + len(value) + HEADER_BYTES for name, value in pairs if name[:1] != b":")
        return cls(
            texts.get(":method", method),
            texts.get(":path", path),
            headers,
            {
                name: value
                for name, value in headers.items()
                if name not in OWN_HEADERS and name != AUTHORIZATION and not name.endswith(BINARY)
            },
            size,
        )

    @classmethod
    def of_scope(cls, scope: Mapping[str, Any]) -> Self:
        """Read what ASGI says of a call."""
        return cls.of(scope["headers"], scope["method"], scope["path"])

    @property
    def speaks_grpc(self) -> bool:
        """Whether this is a call at all."""
        return self.method == "POST" and self.headers.get("content-type", "").startswith(GRPC)

    @property
    def authorization(self) -> str:
        """The token's header, empty if there is none."""
        return self.headers.get(AUTHORIZATION, "")

    def timeout_secs(self) -> float | None:
        """Return how long the caller waits, if it says so. Raises InvalidRequestError if that is no time."""
        timeout = self.headers.get("grpc-timeout")
        return None if timeout is None else framing.timeout_secs(timeout)
