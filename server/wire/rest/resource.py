"""What HTTP offers: which path asks which method, and how its message is made and its answer written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import orjson

from server.wire.method import Method

JSON = "application/json"


class Door(Enum):
    """What a request has to pass. Every call passes all of it."""

    CALL = "tokens, admission, the drain"
    SCRAPE = "tokens: to be seen when the server is full is what it is for"
    PROBE = "nothing: whoever probes holds no secret"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: the variable parts of its path, its headers in lower case, its body inflated."""

    path: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    max_json_bytes: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer with."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = JSON
    status: int = 200


# Makes the reply of the method's response.
Write = Callable[[Any], Reply]


@dataclass(frozen=True, slots=True)
class Resource:
    """One verb on one path. `read` makes the method's request, and says how its response is written.

    It raises the errors that methods raise.
    """

    verb: str
    path: str
    method: Method
    read: Callable[[Asked], tuple[Any, Write]]
    door: Door = Door.CALL


def json_reply(content: Any, status: int = 200) -> Reply:
    """Answer with JSON."""
    return Reply(orjson.dumps(content), status=status)


def error_reply(text: str, status: int) -> Reply:
    """Answer with an error, as clients know it."""
    return json_reply({"error": text}, status)
