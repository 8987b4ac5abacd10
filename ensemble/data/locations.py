"""From addresses to files: paths, `file://` and what lies in buckets.

A bucket is connected to once, and its library is loaded only then.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, Self
from urllib.parse import unquote, urlsplit

from model_store.addresses import BUCKETS
from model_store.errors import ConflictError

from ..errors import InvalidDataError
from .folders import RemoteFolder
from .opening import File, RemoteFile

PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Seen:
    """A file that was found, in words for another process: its address, and of one in a bucket more."""

    address: str
    size: int = 0
    etag: str = ""

    @classmethod
    def of(cls, file: File) -> Self:
        """Name a file such that it is found from any folder."""
        if isinstance(file, Path):
            return cls(str(file.resolve()))
        return cls(str(file), file.size, file.etag)


@dataclass(frozen=True, slots=True)
class Listed:
    """What an address in a bucket names: one file, those that fit a pattern, or all below a folder.

    Each has its name below `root`, the folder or else the bucket. Sorted.
    """

    what: Literal["file", "pattern", "folder"]
    root: str  # ends in a slash
    files: list[tuple[str, RemoteFile]]


class Remote(Protocol):
    """A bucket that data files lie in."""

    def known(self, key: str, size: int, etag: str) -> RemoteFile:
        """Return a file that was found before."""
        ...

    def file(self, key: str) -> RemoteFile | None:
        """Look for one file."""
        ...

    def below(self, prefix: str) -> Iterator[RemoteFile]:
        """Give all files below a prefix, sorted."""
        ...


class Locations:
    """Finds what addresses name, and remembers the buckets."""

    def __init__(self) -> None:
        self._buckets: dict[str, Remote] = {}

    def known(self, address: str, size: int, etag: str) -> File:
        """Return a file that was found before, or a folder of images; ConflictError if that changed.

        A file is asked whether it did at each read.
        """
        if "://" not in address:
            return Path(address)
        bucket, key = self._bucket(address)
        if key and not key.endswith("/"):
            return bucket.known(key, size, etag)
        folder = RemoteFolder.of(address, self.listed(address).files)
        if (folder.size, folder.etag) != (size, etag):
            raise ConflictError(
                f"{address}: its images changed since the job began: begin anew; a scoring job, in another"
                " folder"
            )
        return folder

    def listed(self, address: str) -> Listed:
        """Find what an address in a bucket names."""
        bucket, key = self._bucket(address)
        root = _root(address)
        if pattern := PATTERN.search(key):
            found = _below(bucket, root, key[: pattern.start()].rpartition("/")[0])
            return Listed("pattern", root, [(name, file) for name, file in found if _matches(name, key)])
        one = bucket.file(key) if key and not key.endswith("/") else None
        if one is not None:
            return Listed("file", root, [(one.name, one)])
        folder = key.rstrip("/")
        start = root + (f"{folder}/" if folder else "")
        return Listed("folder", start, list(_below(bucket, start, folder)))

    def _bucket(self, address: str) -> tuple[Remote, str]:
        """Return the bucket of an address, and the key in it."""
        parts = urlsplit(address)
        if parts.scheme not in BUCKETS or not parts.netloc or "@" in parts.netloc:
            raise InvalidDataError(
                f"{address}: can't be read; use a path, file:///absolute/path, s3://bucket/key, gs://bucket/key"
                " or az://container/key"
            )
        if _root(address) not in self._buckets:
            try:
                module: Any = import_module("model_store.bucket_data")
            except ModuleNotFoundError as error:
                raise InvalidDataError(f"{address}: needs {error.name}: pip install obstore") from error
            self._buckets[_root(address)] = module.DataBucket.connect(parts.scheme, parts.netloc)
        # Not what urlsplit takes for a path: a pattern may hold a question mark.
        return self._buckets[_root(address)], address.removeprefix(_root(address))


def local_path(address: str | Path) -> Path | None:
    """Return the path that an address is; None if it is no path."""
    text = str(address)
    if isinstance(address, Path) or "://" not in text:
        return Path(address)
    return Path(unquote(urlsplit(text).path)) if text.startswith("file:///") else None


def _below(bucket: Remote, root: str, prefix: str) -> Iterator[tuple[str, RemoteFile]]:
    """Give all files below a prefix with their names below `root`."""
    return ((str(file).removeprefix(root), file) for file in bucket.below(prefix))


def _root(address: str) -> str:
    """The bucket's part of an address."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/"


def _matches(key: str, pattern: str) -> bool:
    """Whether a key fits a pattern, of which `*` and `?` stay within a folder and `**` goes through many."""
    pieces = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    made = (
        known.get(piece) or (piece if piece.startswith("[") and piece.endswith("]") else re.escape(piece))
        for piece in pieces
    )
    return re.fullmatch("".join(made), key) is not None
