"""A store's keys as objects in S3, GCS or Azure, through obstore; imported only for such an address.

Rule 1: an object appears whole, and what must not change is created with a condition: of many, one wins.
Rule 2: the answer to a create that worked can be lost, and the retry says "exists". So each carries a
token of its writer's, and whose token is found there has won.
Rule 3: nothing but blobs is ever written twice, and they only with the bytes that their name says.
"""

import io
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import ObjectStore

from model_store.bucket_errors import explained
from model_store.errors import StoreCorruptError
from model_store.hashing import Hashed
from model_store.leases import Leases
from model_store.objects import Found, StillHeld

WRITER = "writer"
# What is smaller is sent in one request.
ONE_REQUEST_BYTES = 8 * 2**20
# Journal entries are read over and over and never change: their bytes are remembered, up to so many.
REMEMBERED_BYTES, REMEMBERED = 64 * 2**10, 4096
AT_ONCE = 16


class _Stream(io.RawIOBase):
    """An object's bytes as a file that is read once, from start to end."""

    def __init__(self, chunks: Iterator[bytes], explain: Callable[[], AbstractContextManager[None]]) -> None:
        self._chunks, self._explain, self._left = chunks, explain, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` with what comes next; 0 at the end."""
        if not self._left:
            with self._explain():
                self._left = bytes(next(self._chunks, b""))
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


@dataclass(frozen=True, slots=True)
class Bucket:
    """The objects below the prefix that `client` has; `address` is where that is."""

    client: ObjectStore
    address: str
    leases: Leases = field(default_factory=Leases)
    _remembered: dict[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def remote(self) -> bool:
        """It lies beyond a network."""
        return True

    def absent(self) -> str | None:
        """A bucket that isn't there is an error when it is listed; a prefix is there once it is used."""
        return None

    def where(self, key: str) -> str:
        """Return the address of `key`."""
        return f"{self.address.rstrip('/')}/{key}"

    def names(self, folder: str, role: str) -> list[str]:
        """List what is directly below a prefix."""
        with explained(f"list {role}", self.where(folder)):
            found = obstore.list_with_delimiter(self.client, folder)
        keys = [*found["common_prefixes"], *(each["path"] for each in found["objects"])]
        return sorted(key.rpartition("/")[2] for key in keys)

    def listing(self, folder: str) -> Iterator[Found]:
        """List all that is below a prefix."""
        with explained("list", self.where(folder)):
            metas = [meta for page in obstore.list(self.client, folder) for meta in page]
        for meta in sorted(metas, key=lambda meta: meta["path"]):
            yield Found(meta["path"], meta["size"], meta["last_modified"])

    def read(self, key: str, role: str, limit: int) -> bytes:
        """Get a small object, or remember it."""
        if (known := self._remembered.get(key)) is not None:
            return known
        with self.opened(key, role) as (file, size):
            if size > limit:
                raise StoreCorruptError(
                    f"{role} {self.where(key)!r} is over {limit} bytes: it was not written by unisono"
                )
            data = file.read()
        if len(data) <= REMEMBERED_BYTES:
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = data
        return data

    def read_all(self, keys: Sequence[str], role: str, limit: int) -> Iterator[bytes]:
        """Get objects, some at once."""
        if len(keys) == 1:
            yield self.read(keys[0], role, limit)
            return
        with ThreadPoolExecutor(AT_ONCE) as threads:
            yield from threads.map(lambda key: self.read(key, role, limit), keys)

    @contextmanager
    def opened(self, key: str, role: str) -> Iterator[tuple[BinaryIO, int]]:
        """Get an object, piece by piece."""

        def explain() -> AbstractContextManager[None]:
            return explained(f"read {role}", self.where(key))

        with explain():
            result = obstore.get(self.client, key)
            size = result.meta["size"]
            stream = _Stream(iter(cast("Iterator[bytes]", result.stream())), explain)
        yield cast("BinaryIO", io.BufferedReader(stream)), size

    def size(self, key: str, role: str) -> int:
        """Ask for an object's size."""
        with explained(f"look at {role}", self.where(key)):
            return obstore.head(self.client, key)["size"]

    def create(self, key: str, data: bytes, role: str) -> bool:
        """Put an object under the condition that there is none."""
        token = secrets.token_hex(16)
        with explained(f"write {role}", self.where(key)), _bucket_is_there():
            try:
                obstore.put(self.client, key, data, mode="create", attributes={WRITER: token})
            except AlreadyExistsError:
                return obstore.get(self.client, key).attributes.get(WRITER) == token
        return True

    def file_away(self, source: Path | bytes, key_of: Callable[[str], str], role: str) -> tuple[str, int]:
        """Put an object under the name that its bytes have; in parts, if it is large.

        A file is read twice, first for its name. What is sent is hashed again, so a file that changed in
        between never takes the place of the bytes that it had.
        """
        first = Hashed(source)
        for _ in first:
            pass
        key = key_of(first.digest)
        second = Hashed(source)

        def sent() -> Iterator[bytes]:
            yield from second
            if second.digest != first.digest:
                raise StoreCorruptError(f"{str(source)!r} changed while it was stored; publish it again")

        with explained(f"write {role}", self.where(key)), _bucket_is_there():
            if first.size <= ONE_REQUEST_BYTES:
                obstore.put(self.client, key, b"".join(sent()), use_multipart=False)
            else:
                obstore.put(self.client, key, sent(), chunk_size=ONE_REQUEST_BYTES, max_concurrency=4)
        return first.digest, first.size

    def remove(self, key: str, role: str) -> None:
        """Delete an object."""
        with explained(f"remove {role}", self.where(key)):
            try:
                obstore.delete(self.client, key)
            except FileNotFoundError:
                return

    def publishing(self, folder: str) -> AbstractContextManager[StillHeld]:
        """Put a lease that those who collect wait for."""
        return self.leases.shared(self, f"{folder}/leases")

    def collecting(self, folder: str) -> AbstractContextManager[StillHeld]:
        """Put a lease that those who publish wait for, and wait until none of them has one."""
        return self.leases.alone(self, f"{folder}/leases")


@contextmanager
def _bucket_is_there() -> Iterator[None]:
    """Turn "not found" on a write, which can only mean the bucket, into an error that says so."""
    try:
        yield
    except FileNotFoundError as error:
        raise ValueError(f"NoSuchBucket: {error}") from error
