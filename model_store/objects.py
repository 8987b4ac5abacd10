"""What the store asks of the place it lies in: named bytes that are whole or not there.

A key is a path below the store, such as `ensembles/digits/journal/00000000000000000001.json`. `Folder` keeps
them on a disk, `Bucket` in object storage; what the keys mean is for those above.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

# Says whether the lock is still held for sure; raises ConflictError if not.
StillHeld = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that lies in the store: its key, its bytes' number, and when it was written."""

    key: str
    size: int
    modified: datetime
    # Left by a writer that died; nothing will ever read it.
    leftover: bool = False

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]


class Objects(Protocol):
    """Keys and their bytes. StoreUnavailableError, with the way out, from all of it; never an OSError else.

    `role` says in messages what a key is: "journal entry". Once a writing method has returned, what it wrote
    outlives a crash, and every reader sees it.
    """

    @property
    def address(self) -> str:
        """Where this is; opened anew, in any process that reaches it, it is the same."""
        ...

    @property
    def remote(self) -> bool:
        """Whether reading takes a network, so that a local cache pays."""
        ...

    def absent(self) -> str | None:
        """Say why there is nothing here at all; None if there may be."""
        ...

    def where(self, key: str) -> str:
        """Return how people name the place of `key`."""
        ...

    def names(self, folder: str, role: str) -> list[str]:
        """Return the names directly below `folder`, sorted; none if it isn't there."""
        ...

    def listing(self, folder: str) -> Iterator[Found]:
        """Yield all that lies below `folder`, however deep."""
        ...

    def read(self, key: str, role: str, limit: int) -> bytes:
        """Return the bytes of `key`; FileNotFoundError, or StoreCorruptError if they are over `limit`."""
        ...

    def read_all(self, keys: Sequence[str], role: str, limit: int) -> Iterator[bytes]:
        """Yield the bytes of each of `keys` in order, as `read` would."""
        ...

    def opened(self, key: str, role: str) -> AbstractContextManager[tuple[BinaryIO, int]]:
        """Open `key` for reading from its start; give the file and its size. FileNotFoundError."""
        ...

    def size(self, key: str, role: str) -> int:
        """Return how many bytes `key` has; FileNotFoundError."""
        ...

    def create(self, key: str, data: bytes, role: str) -> bool:
        """Write the new key `key`; False, and nothing changed, if it exists. Of many at once, one wins."""
        ...

    def file_away(self, source: Path | bytes, key_of: Callable[[str], str], role: str) -> tuple[str, int]:
        """Write `source` under the key that `key_of` gives for its sha256; return sha256 and size.

        What the key holds then is these bytes, young, whatever was there before.
        """
        ...

    def remove(self, key: str, role: str) -> None:
        """Take `key` away; nothing happens if it is gone."""
        ...

    def publishing(self, folder: str) -> AbstractContextManager[StillHeld]:
        """Keep those that collect garbage in `folder` out; any number may publish at once."""
        ...

    def collecting(self, folder: str) -> AbstractContextManager[StillHeld]:
        """Keep those that publish in `folder` out, and others that collect."""
        ...
