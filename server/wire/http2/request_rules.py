"""What makes a request malformed: RFC 9113, sections 8.1 to 8.3. Pure functions.

Where gRPC's own rules differ they come first: white space around a value is let through, since gRPC's clients
send it, and so is a `host` that isn't what `:authority` says, which nobody reads.
"""

import re
from functools import lru_cache

from ..head import Head, Pairs
from .frames import MalformedError

# What a request may have of HTTP/2's own, and what it must have.
ALLOWED = frozenset({b":method", b":scheme", b":path", b":authority"})
NEEDED = frozenset({b":method", b":scheme", b":path"})
# These belong to connections of HTTP/1.
CONNECTIONS_OWN = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
)
LENGTH_NAME = "content-length"
CONTENT_LENGTH = LENGTH_NAME.encode()
# Visible ASCII without capitals and the colon.
NAME = re.compile(rb"[!-9;-@\[-~]+")
NEVER_IN_VALUES = re.compile(rb"[\0\r\n]")
# No sum of frames is longer.
LENGTH = re.compile(rb"[0-9]{1,18}")
SHOWN = 40


def check_request(pairs: Pairs) -> None:
    """Raise MalformedError if these can't be the headers of a request."""
    own: dict[bytes, bytes] = {}
    lengths = others = 0
    for name, value in pairs:
        if name[:1] == b":":
            if others or name in own or name not in ALLOWED:
                raise MalformedError(f"{_shown(name)} is unknown, comes twice, or comes late")
            own[name] = value
        else:
            others += 1
            lengths += name == CONTENT_LENGTH
            _check_name(name, value)
        _check_value(name, value)
    if not (own.keys() >= NEEDED and own[b":path"]) or lengths > 1:
        raise MalformedError("one of :method, :scheme and :path is missing, or content-length comes twice")


def check_trailers(pairs: Pairs) -> None:
    """Raise MalformedError if these can't end a request."""
    for name, value in pairs:
        _check_name(name, value)
        _check_value(name, value)


def check_alone(head: Head) -> None:
    """Raise MalformedError if a request of headers alone says that more comes."""
    if body_bytes(head):
        raise MalformedError(f"{LENGTH_NAME} of a request that ends with its headers")


def body_bytes(head: Head) -> int | None:
    """Return how many bytes a request says it brings; None if it doesn't."""
    length = head.headers.get(LENGTH_NAME)
    return None if length is None else int(length)


def _check_name(name: bytes, value: bytes) -> None:
    if not _is_name(name):
        raise MalformedError(f"a header is called {_shown(name)}")
    if name in CONNECTIONS_OWN or (name == b"te" and value != b"trailers"):
        raise MalformedError(f"{_shown(name)}: {_shown(value)} is of HTTP/1")
    if name == CONTENT_LENGTH and not LENGTH.fullmatch(value):
        raise MalformedError(f"{LENGTH_NAME} is {_shown(value)}")


def _check_value(name: bytes, value: bytes) -> None:
    if NEVER_IN_VALUES.search(value):
        raise MalformedError(f"{_shown(name)} has a line's end, or a zero byte")


@lru_cache(maxsize=256)
def _is_name(name: bytes) -> bool:
    return NAME.fullmatch(name) is not None


def _shown(text: bytes) -> str:
    return repr(text[:SHOWN])[1:]
