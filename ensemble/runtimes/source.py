"""A member that is to be opened: who it is, and how to come by its files."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, Self

from ..errors import InvalidModelError
from ..member import Member
from ..signature import Signature

ONNX, KERAS = "onnx", "keras"
# What trying a member brought to light, in the words of JSON; whoever knows it need not try again.
Found = dict[str, Any]


class OpenedMember(Member, Protocol):
    """A member, and what was found out when it was opened."""

    @property
    def found(self) -> Found:
        """What opening it again may be told as `known`."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """What a runtime opens. `copied` lends a checked file of a format while its block runs.

    It raises InvalidModelError if the member has no file of that format, or one that isn't safe to open.
    """

    name: str
    digest: str  # of what was published
    signature: Signature
    model: str  # the sha256 of the ONNX file, which may be derived from what was published
    copied: Callable[[str], AbstractContextManager[Path]]
    formats: frozenset[str] = frozenset({ONNX})  # that `copied` can lend

    @classmethod
    def at(cls, path: Path, *, name: str, digest: str, signature: Signature) -> Self:
        """Describe a member whose one file, ONNX, lies at `path`, and needs no copy."""

        @contextmanager
        def lent(wanted: str) -> Iterator[Path]:
            if wanted != ONNX:
                raise InvalidModelError(f"member {name!r} has no file of the format {wanted!r}")
            yield path

        return cls(name, digest, signature, _digest(path), lent)


class Runtime(Protocol):
    """What opens members. `tests/conformance` checks what they must keep."""

    def __call__(self, source: Source, *, threads: int, known: Found | None = None) -> OpenedMember:
        """Open a member; InvalidModelError if this runtime can't run it. `threads` 0: one a core.

        `known` is what an earlier opening with as many threads found out on such a machine.
        """
        ...


def _digest(path: Path) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InvalidModelError(f"model file can't be read: {error}") from error
