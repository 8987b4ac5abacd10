"""Folders of images, each one data set, on disk or in a bucket: what they hold, and whether it changed.

The order is that of the names below the folder, so it is the same wherever a folder lies.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, Protocol, Self

from .fetching import Fetcher
from .images import IMAGE_ENDINGS
from .opening import File, RemoteFile


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """The images below a prefix, as they were when they were listed. Elsewhere it counts as a file."""

    address: str  # ends in a slash, as no file's does
    images: tuple[RemoteFile, ...] = field(repr=False)

    @classmethod
    def of(cls, address: str, found: Iterable[tuple[str, RemoteFile]]) -> Self:
        """Take the images out of what was found, sorted, by its names below the address."""
        images = (file for name, file in found if is_image(file) and shown(name.split("/")))
        return cls(address, tuple(images))

    def __str__(self) -> str:
        return self.address

    @property
    def names(self) -> tuple[str, ...]:
        """The images' names below the address."""
        return tuple(str(image).removeprefix(self.address) for image in self.images)

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.address.rstrip("/").rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The same: a folder has no ending."""
        return self.name

    @property
    def suffix(self) -> str:
        """None."""
        return ""

    @property
    def size(self) -> int:
        """The bytes of all images."""
        return sum(image.size for image in self.images)

    @property
    def etag(self) -> str:
        """What changes with the images' names, sizes and etags."""
        lines = (f"{image}\0{image.size}\0{image.etag}\n" for image in self.images)
        return _digest(lines).hex()

    def open(self) -> IO[bytes]:
        """Raise IsADirectoryError, as a folder on disk does."""
        raise IsADirectoryError(f"{self.address} is a folder")


class Images(Protocol):
    """The files of one data set, by their place in it. For one thread."""

    def open(self, row: int) -> IO[bytes]:
        """Open one for reading. OSError, or StoreError of one in a bucket, here and later."""
        ...

    def close(self) -> None:
        """Stop what was begun ahead; files can still be opened."""
        ...


@dataclass(frozen=True, slots=True)
class _OnDisk:
    path: Path
    names: Sequence[str]

    def open(self, row: int) -> IO[bytes]:
        return (self.path / self.names[row]).open("rb")

    def close(self) -> None:
        """Nothing was begun."""


def images_of(path: File, names: Sequence[str]) -> Images:
    """Return what opens the files of `path`, which has them under `names`; in order is quickest."""
    if isinstance(path, Path):
        return _OnDisk(path, names)
    return Fetcher(path.images if isinstance(path, RemoteFolder) else (path,))


def names_in(path: File) -> tuple[str, ...]:
    """Return the images below a folder, sorted; of a file alone "", that it is itself.

    Names that start with `.` or `_` are left out.
    """
    if isinstance(path, RemoteFolder):
        return path.names
    if not isinstance(path, Path) or not path.is_dir():
        return ("",)
    found = (file for file in path.rglob("*") if is_image(file) and shown(file.relative_to(path).parts))
    return tuple(sorted(file.relative_to(path).as_posix() for file in found if file.is_file()))


def contents(path: File) -> Iterator[tuple[str, IO[bytes]]]:
    """Give each file of a data set: its name as `names_in` has it, and its bytes. Errors as of `Images`."""
    names = names_in(path)
    with closing(images_of(path, names)) as images:
        for row, name in enumerate(names):
            with images.open(row) as file:
                yield name, file


def stamp_of(folder: Path) -> tuple[int, int]:
    """The bytes of all images, and a number that changes with their names, sizes and times. OSError."""
    stats = [(name, (folder / name).stat()) for name in names_in(folder)]
    lines = (f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n" for name, stat in stats)
    return sum(stat.st_size for _, stat in stats), int.from_bytes(_digest(lines)[:7])


def is_image(file: File) -> bool:
    """Whether its name says so."""
    return file.suffix.lower() in IMAGE_ENDINGS


def shown(parts: Sequence[str]) -> bool:
    """Whether neither the last part of a name nor a folder on the way to it is marked as not data."""
    return not any(part.startswith((".", "_")) for part in parts)


def _digest(lines: Iterable[str]) -> bytes:
    digest = sha256()
    for line in lines:
        digest.update(line.encode(errors="surrogateescape"))
    return digest.digest()
