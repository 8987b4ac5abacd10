"""Rows and labels from files: the same rows in the same order, whatever the format and batch size.

files -> *check the headers* -> *check the labels* -> chunks of rows that fit the signature. What can
be known without reading every row is checked when the dataset is opened, before anything is scored.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..signature import ANY_SIZE, Signature
from .arrow_file import ArrowFile
from .chunk import Chunk
from .csv_file import CsvFile
from .cursor import Cursor, Found, OpenFile
from .folders import RemoteFolder, contents, is_image
from .image_folder import ImageFolder
from .jsonl_file import JsonlFile
from .labels import OUTSIDE, LabelRule
from .locations import Locations
from .npz_file import NpzFile
from .opening import File, kind
from .parquet_file import ParquetFile
from .paths import find_files
from .sifting import BadRow, sift
from .source import Block, Source, Wanted
from .tensors import Place, to_tensor
from .tfrecord_file import TfRecordFile

__all__ = ["Chunk", "Dataset", "open_dataset", "reopen_dataset"]

READ_SIZE = 1 << 20  # bytes
LABEL_ROWS = 65_536  # labels checked at a time
TYPE_ROWS = 64  # rows that tell the type of a column
SIZE_ROWS = 16  # rows that tell how large a row is


class Dataset:
    """Files, opened: rows for a signature, and labels if they were asked for. Made by `open_dataset`."""

    def __init__(self, files: Sequence[OpenFile], wanted: Wanted, kept_types: Mapping[str, Any]) -> None:
        self._files = tuple(files)
        self._wanted = wanted
        self.kept_types = kept_types  # Arrow's, of the columns that are handed on

    @property
    def rows(self) -> int:
        """How many rows all files hold."""
        return sum(file.rows for file in self._files)

    @property
    def files(self) -> tuple[File, ...]:
        """The files, in the order in which they are read."""
        return tuple(file.source.path for file in self._files)

    @property
    def counts(self) -> tuple[int, ...]:
        """How many rows each file holds."""
        return tuple(file.rows for file in self._files)

    @property
    def keep(self) -> tuple[str, ...]:
        """The columns that are handed on as they are."""
        return self._wanted.keep

    @property
    def identity(self) -> str | None:
        """The one of `keep` that names rows, also bad ones."""
        return self._wanted.identity

    @cached_property
    def digest(self) -> str:
        """The sha256, in hex, of the files' bytes, one file after another."""
        digest = sha256()
        for path in self.files:
            # The names of images count too: they say the class.
            for name, file in contents(path):
                digest.update(name.encode(errors="surrogateescape"))
                while data := file.read(READ_SIZE):
                    digest.update(data)
        return digest.hexdigest()

    def batches(self, rows: int, start: int = 0, stop: int | None = None) -> Iterator[Chunk]:
        """Give the rows from `start` to before `stop`, in order, `rows` at a time; a file's last may be less.

        Holds one chunk and the reader's buffers in memory, whatever the files. Raises
        `InvalidDataError` at the first row that doesn't fit the signature.
        """
        for found in self.cursor(rows).blocks(start, self.rows if stop is None else stop):
            yield self._chunk(found.block, found)

    def cursor(self, rows: int) -> Cursor:
        """Return what reads `rows` rows at a time, for `sifted`; asked for in order, no row is read twice."""
        if rows < 1:
            raise InvalidDataError(f"batch size must be >= 1 rows; got {rows}")
        return Cursor(self._files, self._wanted, rows)

    def sifted(self, cursor: Cursor, start: int, stop: int) -> Iterator[tuple[list[Chunk], list[BadRow]]]:
        """Give the rows from `start` to before `stop`, block by block: the good ones and the bad ones."""
        for found in cursor.blocks(start, stop):
            yield sift(found.block, lambda block, found=found: self._chunk(block, found))  # type: ignore[misc]

    def row_bytes(self) -> int:
        """How many bytes the largest of the first rows has, as tensors; 0 where the signature says it."""
        if not any(spec.dtype == "bytes" or ANY_SIZE in spec.shape for spec in self._wanted.inputs):
            return 0
        rows = min(SIZE_ROWS, self.rows)
        chunks = (chunk for found, _ in self.sifted(self.cursor(1), 0, rows) for chunk in found)
        return max((sum(map(_bytes, chunk.rows.values())) for chunk in chunks), default=0)

    def check_labels(self) -> None:
        """Read all labels, and nothing else; raise `InvalidDataError` if any is outside the classes."""
        if self._wanted.label is None:
            raise InvalidDataError("no labels to check: name their column or array")
        outside, first = 0, ""
        for file in self._files:
            for block in file.source.read(self._wanted.only_label, LABEL_ROWS):
                place, labels = block.place, np.asarray(block.raw().label)
                bad = np.flatnonzero(file.rule.indices(labels, place) == OUTSIDE)
                if len(bad) and not outside:
                    value = labels.ravel()[bad[:1]].tolist()[0]
                    first = f"{place.row(int(bad[0]))}: label {value!r} is outside the classes"
                outside += len(bad)
        if outside:
            raise InvalidDataError(
                f"{first}; {outside} of {self.rows} labels are; allowed are {self._files[0].rule.allowed()}"
            )

    def _chunk(self, block: Block, found: Found) -> Chunk:
        """Make what the file has into what the signature asks for; `block` is `found`'s, or a part of it."""
        raw, place = block.raw(), block.place
        rows = {spec.name: to_tensor(raw.inputs[spec.name], spec, place) for spec in self._wanted.inputs}
        labels = None if raw.label is None else found.file.rule.indices(raw.label, place)
        kept = {name: _cast(raw.kept[name], dtype, name, place) for name, dtype in self.kept_types.items()}
        start = found.start + place.start - found.block.place.start
        return Chunk(rows, labels, start, place.path, place.start, kept, named_by=self.identity)


def open_dataset(  # noqa: PLR0913 - one parameter for each thing that files may hold
    paths: Sequence[str | Path],
    signature: Signature,
    *,
    label: str | None = None,
    classes: Sequence[str] = (),
    keep: Sequence[str] = (),
    identity: str | None = None,
    lenient: bool = False,
) -> Dataset:
    """Open `paths` (files, folders, patterns, on disk or in a bucket) as rows for `signature`'s inputs.

    `label` names the column or array of labels; `classes` the names that text labels may be, in the
    order of the scores; `keep` columns to hand on as they are; `identity` one more, that names the row also
    where it is bad; `lenient` that rows which can't be parsed are left to `sifted`. `InvalidDataError`.
    """
    kept = tuple(dict.fromkeys((*([] if identity is None else [identity]), *keep)))
    wanted = Wanted(signature.inputs, label, kept, lenient, identity)
    only = signature.inputs[0].name if len(signature.inputs) == 1 else None
    sources = [_open(path, only) for path in find_files(paths, Locations())]
    for source in sources:
        source.check(wanted)
    count = len(classes) or _score_count(signature)
    files = [
        OpenFile(source, source.count(wanted), LabelRule(tuple(classes), count, source.untyped))
        for source in sources
    ]
    dataset = Dataset(files, wanted, _common_types(sources, wanted))
    if not dataset.rows:
        raise InvalidDataError(f"{', '.join(str(path) for path in paths)}: no rows: the data is empty")
    if label is not None:
        dataset.check_labels()
    return dataset


def reopen_dataset(
    files: Sequence[tuple[File, int]],
    signature: Signature,
    kept_types: Mapping[str, Any],
    identity: str | None = None,
) -> Dataset:
    """Open files whose rows have been counted, leniently; `kept_types` are those of the first opening."""
    wanted = Wanted(signature.inputs, None, tuple(kept_types), lenient=True, identity=identity)
    only = signature.inputs[0].name if len(signature.inputs) == 1 else None
    opened = [OpenFile(_open(path, only), rows, LabelRule((), 0)) for path, rows in files]
    return Dataset(opened, wanted, kept_types)


def _common_types(sources: Sequence[Source], wanted: Wanted) -> Mapping[str, Any]:
    """Return the type of each column that is handed on: the first file's, into which the others must go."""
    types: dict[str, Any] = {}
    for source in sources if wanted.keep else ():
        for name, dtype in _kept_types(source, wanted).items():
            _check_cast(source, name, dtype, types.setdefault(name, dtype))
    return types


def _kept_types(source: Source, wanted: Wanted) -> Mapping[str, Any]:
    """Return the types of the kept columns: those of the first rows that can be read."""
    error = None
    for block in source.read(wanted.unlabelled, TYPE_ROWS):
        for part in (block, *(block.slice(row, 1) for row in range(block.rows))):
            try:
                kept = part.raw().kept
            except InvalidDataError as one:
                error = error or one
                continue
            # A column of nulls has no type; text holds anything.
            types = {name: kept[name].type for name in wanted.keep}
            return {name: pa.string() if pa.types.is_null(found) else found for name, found in types.items()}
    if error is not None:
        raise error
    return {}


def _check_cast(source: Source, name: str, dtype: Any, wanted: Any) -> None:
    """Raise `InvalidDataError` if no value of `dtype` can become one of `wanted`."""
    try:
        pa.array([], dtype).cast(wanted)
    except pa.ArrowException as error:
        raise InvalidDataError(
            f"{source.path}: column {name!r} is {dtype}, in the first file {wanted}: {error}"
        ) from None


def _cast(column: Any, dtype: Any, name: str, place: Place) -> Any:
    """Return a kept column in the type that the first file gave it."""
    try:
        return column if column.type == dtype else column.cast(dtype)
    except pa.ArrowException as error:
        raise InvalidDataError(
            f"{place.row(0)}: {name!r} is {column.type}, in the first file {dtype}: {error}", code="type"
        ) from None


def _open(path: File, only_input: str | None) -> Source:
    """Open one file by how its name ends."""
    known: Mapping[str, Callable[[File], Source]] = {
        ".arrow": ArrowFile.open,
        ".csv": CsvFile.open,
        ".feather": ArrowFile.open,
        ".jsonl": JsonlFile.open,
        ".ndjson": JsonlFile.open,
        ".parquet": ParquetFile.open,
        ".tfrecord": TfRecordFile.open,
        ".tfrecords": TfRecordFile.open,
    }
    if isinstance(path, RemoteFolder) or is_image(path) or (isinstance(path, Path) and path.is_dir()):
        return ImageFolder.open(path)
    opened = known.get(kind(path))
    return opened(path) if opened else NpzFile.open(path, only_input)


def _bytes(array: NDArray[Any]) -> int:
    """How many bytes an array holds, texts included."""
    return sum(map(len, array.ravel())) if array.dtype.kind == "O" else array.nbytes


def _score_count(signature: Signature) -> int:
    """How many classes the scores have; 0 where the signature leaves it open."""
    shape = signature.outputs[0].shape
    return shape[-1] if shape and shape[-1] != ANY_SIZE else 0
