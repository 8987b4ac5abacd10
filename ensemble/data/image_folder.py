"""A folder of images, one a row: `folder/name.png`, or `folder/class/name.png` with the class as label.

Three columns: the image, under the name of the ensemble's only input; `file`, the path below the folder; and
`class`, the name of the first folder on that path.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..errors import InvalidDataError
from .images import IMAGE_ENDINGS, Layout, decode, need_pillow
from .source import Block, Raw, Wanted
from .tensors import Place

FILE, CLASS = "file", "class"


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """The images below a folder, sorted by path; or a single image."""

    path: Path
    files: tuple[str, ...]  # below `path`; "" for the single image itself
    untyped: bool = False

    @classmethod
    def open(cls, path: Path) -> "ImageFolder":
        """List the images of `path`."""
        need_pillow(path)
        return cls(path, tuple(image_files(path)))

    def check(self, wanted: Wanted) -> None:
        """Raise `InvalidDataError` unless the ensemble takes one image, and the other columns are there."""
        if wanted.inputs:
            self._layout(wanted)
        for name in (*([] if wanted.label is None else [wanted.label]), *wanted.keep):
            if name not in (FILE, CLASS):
                raise InvalidDataError(
                    f"{self.path}: images have no column {name!r}, only {FILE} and {CLASS}"
                )
            if name == CLASS and not all("/" in file for file in self.files):
                raise InvalidDataError(
                    f"{self.path}: has images outside of folders, so they have no {CLASS}:"
                    " put each into the folder of its class"
                )

    def count(self, wanted: Wanted) -> int:  # noqa: ARG002 - an image is a row, whatever it holds
        """How many images there are."""
        return len(self.files)

    def floor(self, row: int) -> int:
        """The row itself: each is a file."""
        return row

    def read(self, wanted: Wanted, rows: int, start: int = 0) -> Iterator[Block]:
        """Give the images from row `start`, `rows` at a time; none is opened yet."""
        for first in range(start, len(self.files), rows):
            yield ImageBlock(self.files[first : first + rows], wanted, Place(self.path, first))

    def _layout(self, wanted: Wanted) -> Layout:
        if len(wanted.inputs) != 1:
            raise InvalidDataError(
                f"{self.path}: the ensemble has several inputs; store them by name in .npz"
            )
        return Layout(wanted.inputs[0])


@dataclass(frozen=True, slots=True)
class ImageBlock:
    """Images that have not been opened."""

    files: tuple[str, ...]
    wanted: Wanted
    place: Place

    @property
    def rows(self) -> int:
        """How many they are."""
        return len(self.files)

    def slice(self, start: int, count: int) -> "ImageBlock":
        """Return `count` of the rows, from `start`."""
        return replace(self, files=self.files[start : start + count], place=self.place.after(start))

    def only(self, wanted: Wanted) -> "ImageBlock":
        """Return the same rows, of which no more is wanted than this."""
        return replace(self, wanted=wanted)

    def raw(self) -> Raw:
        """Decode them, or raise `InvalidDataError`."""
        columns = {
            FILE: [file or self.place.path.name for file in self.files],
            CLASS: [file.partition("/")[0] for file in self.files],
        }
        label = self.wanted.label
        return Raw(
            self.rows,
            {spec.name: self._decoded(Layout(spec)) for spec in self.wanted.inputs},
            None if label is None else np.array(columns[label], dtype=np.object_),
            {name: pa.array(columns[name], pa.string()) for name in self.wanted.keep},
        )

    def _decoded(self, layout: Layout) -> NDArray[Any]:
        images: list[NDArray[np.uint8]] = []
        for index, file in enumerate(self.files):
            try:
                images.append(decode(Path(str(self.place.path)) / file, layout))
            except InvalidDataError as error:
                raise InvalidDataError(
                    f"{self.place.row(index)}: {_named(file)}{error}", code=error.code
                ) from None
            if images[-1].shape != images[0].shape:
                raise InvalidDataError(
                    f"{self.place.row(index)}: {_named(file)}has the shape {list(images[-1].shape)},"
                    f" those before it {list(images[0].shape)}",
                    code="shape",
                )
        return np.stack(images)


def image_files(path: Path) -> list[str]:
    """Return the images of `path`, below it, sorted, without those whose names start with `.` or `_`."""
    if path.is_file():
        return [""]
    found = (file.relative_to(path) for file in path.rglob("*") if file.suffix.lower() in IMAGE_ENDINGS)
    shown = (file for file in found if not any(part.startswith((".", "_")) for part in file.parts))
    return sorted(file.as_posix() for file in shown)


def folder_stamp(path: Path) -> tuple[int, int]:
    """The bytes of all images, and a number that changes with their names, sizes and times. OSError."""
    total, digest = 0, sha256()
    for file in image_files(path):
        stat = (path / file).stat()
        total += stat.st_size
        digest.update(f"{file}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return total, int.from_bytes(digest.digest()[:7])


def _named(file: str) -> str:
    return f"{file} " if file else ""
