"""The sha256 of bytes as they go by."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from model_store.durable import explained

CHUNK_BYTES = 2**20


class Hashed:
    """Yields chunks of `source` as they are and knows, once they are through, their sha256 and number."""

    def __init__(self, source: Path | bytes) -> None:
        self._source = source
        self._sha256 = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        """The sha256, in hex, of what went by so far."""
        return self._sha256.hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the chunks; StoreUnavailableError if the file can't be read."""
        for chunk in chunks_of(self._source):
            self._sha256.update(chunk)
            self.size += len(chunk)
            yield chunk


def chunks_of(source: Path | bytes) -> Iterator[bytes]:
    """Yield the bytes of `source`, CHUNK_BYTES at a time; StoreUnavailableError if it can't be read."""
    if isinstance(source, bytes):
        yield source
        return
    with explained("read the file to store", source), source.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def digest_of(file: BinaryIO) -> str:
    """Return the sha256, in hex, of what is left to read of `file`."""
    sha256 = hashlib.sha256()
    while chunk := file.read(CHUNK_BYTES):
        sha256.update(chunk)
    return sha256.hexdigest()
