"""Where results go: a folder on disk, or below a prefix in a bucket. Both create files whole, and only once.

The names are paths below the place, such as `_job/plan.json`. Parts are written to a file on this machine
first; `put` gives them their names.
"""

import hashlib
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from model_store.addresses import objects_at
from model_store.durable import Disk, Writer, explained
from model_store.objects import Objects

from ..errors import InvalidDataError

PARTIAL = ".part-*.partial"


class Place(Protocol):
    """What a ledger asks of it. StoreUnavailableError from all of it, with the way out."""

    def where(self, name: str = "") -> str:
        """Return how people name a file of it, or itself."""
        ...

    def check(self) -> None:
        """Raise `InvalidDataError` if results can't be put here at all."""
        ...

    def names(self) -> list[str]:
        """Return the names right below it, sorted."""
        ...

    def sizes(self) -> Mapping[str, int]:
        """Return the bytes of every file below it."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return what a small file holds; None if there is none."""
        ...

    def create(self, name: str, data: bytes) -> None:
        """Write a small file, or leave the one that is there alone."""
        ...

    def temp(self, name: str) -> Path:
        """Return a file on this machine, that nobody else writes to, for what is to be called so."""
        ...

    def put(self, temp: Path, name: str, sha256: str) -> None:
        """Give a file its name; if that is taken by other bytes, `InvalidDataError`. `temp` is gone then."""
        ...

    def remove(self, name: str) -> None:
        """Take a file away, if it is there."""
        ...

    def sweep(self) -> None:
        """Remove what runs on this machine that are dead left half-written."""
        ...


def place_at(address: str | Path) -> Place:
    """Return the folder or bucket that an address names; nothing is read or written yet."""
    text = str(address)
    if isinstance(address, Path) or "://" not in text:
        return FolderPlace(Path(address))
    if text.startswith("file:///"):
        return FolderPlace(Path(unquote(urlsplit(text).path)))
    return BucketPlace(text.rstrip("/"), objects_at(text))


@dataclass(frozen=True, slots=True)
class FolderPlace:
    """A folder, on a disk that has hard links."""

    folder: Path

    def where(self, name: str = "") -> str:
        """The path."""
        return str(self.folder / name)

    def check(self) -> None:
        """Refuse a file."""
        if self.folder.exists() and not self.folder.is_dir():
            raise InvalidDataError(f"{self.folder}: is a file; name a folder for the scores")

    def names(self) -> list[str]:
        """List the folder."""
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.is_dir() else []

    def sizes(self) -> Mapping[str, int]:
        """Look at all files."""
        found = {}
        for path in self.folder.rglob("*"):
            # Another run's temp file may be gone by now.
            with suppress(FileNotFoundError):
                if path.is_file():
                    found[path.relative_to(self.folder).as_posix()] = path.stat().st_size
        return found

    def read(self, name: str) -> bytes | None:
        """Read a file."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def create(self, name: str, data: bytes) -> None:
        """Write a temp file and link it to its name."""
        path = self.folder / name
        Writer(self.folder, Disk()).create(path, data, path.name)

    def temp(self, name: str) -> Path:
        """A hidden name beside the final one; it says who writes, so that a leftover can be cleared."""
        owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        path = self.folder / name
        return path.with_name(f".{path.stem}.{owner}.partial")

    def put(self, temp: Path, name: str, sha256: str) -> None:
        """Link the file to its name."""
        final = self.folder / name
        with explained("write scores to", final):
            try:
                os.link(temp, final)
            except (FileExistsError, FileNotFoundError):
                # Not found: another run was done, and cleared away what was left.
                with final.open("rb") as file:
                    _check_same(file, sha256, final)
            finally:
                temp.unlink(missing_ok=True)
            Disk().sync_folder(final.parent)

    def remove(self, name: str) -> None:
        """Unlink the file."""
        with explained("clean up the output folder", self.folder / name):
            (self.folder / name).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Look for the temp files of processes that no longer run."""
        with explained("clean up the output folder", self.folder):
            for path in self._partials():
                owner = path.name.removesuffix(".partial").split(".", 2)[-1]
                host, _, process = owner.rpartition("-")[0].rpartition("-")
                if host == socket.gethostname() and process.isdigit() and not _alive(int(process)):
                    path.unlink(missing_ok=True)

    def _partials(self) -> Iterator[Path]:
        yield from self.folder.glob(PARTIAL)
        yield from self.folder.glob(f"_*/{PARTIAL}")


@dataclass(frozen=True, slots=True)
class BucketPlace:
    """What lies below a prefix. A part is sent in one request, so it is held in memory while it is."""

    address: str
    objects: Objects = field(repr=False)

    def where(self, name: str = "") -> str:
        """The address."""
        return f"{self.address}/{name}".rstrip("/")

    def check(self) -> None:
        """A prefix is there once it is used."""

    def names(self) -> list[str]:
        """List the prefix."""
        return self.objects.names("", "scores")

    def sizes(self) -> Mapping[str, int]:
        """List all objects."""
        return {found.key: found.size for found in self.objects.listing("")}

    def read(self, name: str) -> bytes | None:
        """Get an object; never from memory, as it may have been removed and made anew."""
        try:
            with self.objects.opened(name, "scores") as (file, _):
                return file.read()
        except FileNotFoundError:
            return None

    def create(self, name: str, data: bytes) -> None:
        """Put an object under the condition that there is none."""
        self.objects.create(name, data, "scores")

    def temp(self, name: str) -> Path:
        """A file in this machine's folder for such."""
        descriptor, path = tempfile.mkstemp(".partial", f"unisono-{Path(name).stem}-")
        os.close(descriptor)
        return Path(path)

    def put(self, temp: Path, name: str, sha256: str) -> None:
        """Send the file, under the condition that there is none of that name."""
        try:
            if not self.objects.create(name, temp.read_bytes(), "scores"):
                with self.objects.opened(name, "scores") as (file, _):
                    _check_same(file, sha256, self.where(name))
        finally:
            with suppress(OSError):
                temp.unlink()

    def remove(self, name: str) -> None:
        """Delete the object."""
        self.objects.remove(name, "scores")

    def sweep(self) -> None:
        """An object is whole or not there, so nothing is left in a bucket."""


def _check_same(file: BinaryIO, sha256: str, where: Path | str) -> None:
    """Raise `InvalidDataError` unless the bytes of a part that is there are those that were made now."""
    digest = hashlib.sha256()
    while data := file.read(1 << 20):
        digest.update(data)
    if digest.hexdigest() != sha256:
        raise InvalidDataError(f"{where}: isn't what its rows score to now: remove it to score them again")


def _alive(process: int) -> bool:
    """Whether a process of that number runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
