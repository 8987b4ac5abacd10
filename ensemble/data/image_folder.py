"""A folder of images, one a row: `folder/name.png`, or `folder/class/name.png` with the class as label.

Three columns: the image, under the name of the ensemble's only input; `file`, the path below the folder; and
`class`, the name of the first folder on that path.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model_store.errors import StoreUnavailableError

from ..errors import InvalidDataError
from .folders import Images, images_of, names_in
from .images import Layout, decode, need_pillow
from .opening import File
from .source import Block, Raw, Wanted
from .tensors import Place

FILE, CLASS = "file", "class"


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """The images below a folder, sorted by path; or a single image."""

    path: File  # of a folder in a bucket, a `RemoteFolder`
    files: tuple[str, ...]  # below `path`; "" for the single image itself
    untyped: bool = False

    @classmethod
    def open(cls, path: File) -> "ImageFolder":
        """List the images of `path`."""
        need_pillow(path)
        return cls(path, names_in(path))

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
        with closing(images_of(self.path, self.files)) as images:
            for first in range(start, len(self.files), rows):
                yield ImageBlock(self.files[first : first + rows], wanted, Place(self.path, first), images)

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
    images: Images = field(repr=False, compare=False)

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
            images.append(self._image(index, file, layout))
            if images[-1].shape != images[0].shape:
                raise InvalidDataError(
                    f"{self.place.row(index)}: {_named(file)}has the shape {list(images[-1].shape)},"
                    f" those before it {list(images[0].shape)}",
                    code="shape",
                )
        return np.stack(images)

    def _image(self, index: int, name: str, layout: Layout) -> NDArray[np.uint8]:
        try:
            with self.images.open(self.place.start + index) as file:
                return decode(file, layout)
        except InvalidDataError as error:
            raise InvalidDataError(
                f"{self.place.row(index)}: {_named(name)}{error}", code=error.code
            ) from None
        except OSError as error:
            # No row is bad because a disk fails.
            raise StoreUnavailableError(
                f"{self.place.row(index)}: {_named(name)}can't be read: {error.strerror}"
            ) from error


def _named(file: str) -> str:
    return f"{file} " if file else ""
