"""Data files in a bucket: found by prefix, told apart by their etags, read from any place.

Every read asks for the etag that the file was found with: one that was written anew in between is refused by
the service itself, so no file is ever half old and half new.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any, cast

import obstore
from obstore.exceptions import PreconditionError
from obstore.store import ObjectStore

from model_store.bucket_client import connect
from model_store.bucket_errors import explained
from model_store.errors import ConflictError

if TYPE_CHECKING:
    from obstore import GetOptions

# Bytes asked for at once.
PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class DataFile:
    """One object, as it was when it was found. What it has of a path's, it has under the path's names."""

    client: ObjectStore = field(repr=False, compare=False)
    bucket: str  # its address
    key: str
    size: int
    etag: str

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """The last part of the key."""
        return PurePosixPath(self.key).name

    @property
    def suffix(self) -> str:
        """How the name ends."""
        return PurePosixPath(self.key).suffix

    @property
    def stem(self) -> str:
        """The name without its end."""
        return PurePosixPath(self.key).stem

    def open(self) -> IO[bytes]:
        """Return its bytes as a file that can be read from any place."""
        return cast("IO[bytes]", io.BufferedReader(_Ranges(self), PIECE))


class _Ranges(io.RawIOBase):
    """An object's bytes, asked for a range at a time."""

    def __init__(self, file: DataFile) -> None:
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        self._at = max(start + offset, 0)
        return self._at

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with what comes next; 0 at the end."""
        stop = min(self._at + len(buffer), self._file.size)
        if stop <= self._at:
            return 0
        options: GetOptions = {"range": (self._at, stop)}
        if self._file.etag:
            options["if_match"] = self._file.etag
        with explained("read", str(self._file)):
            try:
                data = memoryview(obstore.get(self._file.client, self._file.key, options=options).bytes())
            except (PreconditionError, FileNotFoundError) as error:
                raise ConflictError(
                    f"{self._file}: changed since the job began: begin anew; a scoring job, in another folder"
                ) from error
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


@dataclass(frozen=True, slots=True)
class DataBucket:
    """A bucket that data files lie in."""

    client: ObjectStore = field(repr=False)
    address: str  # without a slash at its end

    @classmethod
    def connect(cls, scheme: str, bucket: str) -> "DataBucket":
        """Return the bucket of that name; no request is made."""
        connected = connect(scheme, bucket, "")
        return cls(connected.client, connected.address)

    def known(self, key: str, size: int, etag: str) -> DataFile:
        """Return a file that was found before; no request is made."""
        return DataFile(self.client, self.address, key, size, etag)

    def file(self, key: str) -> DataFile | None:
        """Look for one file."""
        with explained("look at", f"{self.address}/{key}"):
            try:
                meta = obstore.head(self.client, key)
            except FileNotFoundError:
                return None
        return self.known(key, meta["size"], meta["e_tag"] or "")

    def below(self, prefix: str) -> Iterator[DataFile]:
        """Give all files below a prefix, sorted by key."""
        with explained("list", f"{self.address}/{prefix}"):
            files = [
                self.known(meta["path"], meta["size"], meta["e_tag"] or "")
                for page in obstore.list(self.client, prefix or None)
                for meta in page
            ]
        yield from sorted(files, key=lambda file: file.key)
