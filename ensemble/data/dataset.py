"""Rows and labels from files: the same rows in the same order, whatever the format and batch size.

files -> *check the headers* -> *check the labels* -> chunks of rows that fit the signature. What can
be known without reading every row is checked when the dataset is opened, before anything is scored.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..member import Rows
from ..signature import ANY_SIZE, Signature
from .csv_file import CsvFile
from .labels import OUTSIDE, LabelRule
from .npz_file import NpzFile
from .parquet_file import ParquetFile
from .paths import find_files
from .source import Raw, Source, Wanted
from .tensors import Place, to_tensor

READ_SIZE = 1 << 20  # bytes
LABEL_ROWS = 65_536  # labels checked at a time


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows that follow each other in one file.

    `start` is the first one's place in the whole dataset, `row` its place in `source`, both from 0.
    """

    rows: Rows
    labels: NDArray[np.int64] | None
    start: int
    source: Path
    row: int
    kept: Mapping[str, Any] = field(default_factory=dict)  # name -> pyarrow array


@dataclass(frozen=True, slots=True)
class OpenFile:
    """One file of a dataset: how it is read, how many rows it has, which labels it may hold."""

    source: Source
    rows: int
    rule: LabelRule


class Dataset:
    """Files, opened: rows for a signature, and labels if they were asked for. Made by `open_dataset`."""

    def __init__(self, files: Sequence[OpenFile], wanted: Wanted) -> None:
        self._files = tuple(files)
        self._wanted = wanted

    @property
    def rows(self) -> int:
        """How many rows all files hold."""
        return sum(file.rows for file in self._files)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files, in the order in which they are read."""
        return tuple(file.source.path for file in self._files)

    @property
    def keep(self) -> tuple[str, ...]:
        """The columns that are handed on as they are."""
        return self._wanted.keep

    @cached_property
    def digest(self) -> str:
        """The sha256, in hex, of the files' bytes, one file after another."""
        digest = sha256()
        for path in self.files:
            with path.open("rb") as file:
                while data := file.read(READ_SIZE):
                    digest.update(data)
        return digest.hexdigest()

    def batches(self, rows: int) -> Iterator[Chunk]:
        """Give all rows in order, `rows` at a time; a file's last chunk may be shorter.

        Holds one chunk and the reader's buffers in memory, whatever the files. Raises
        `InvalidDataError` at the first row that doesn't fit the signature.
        """
        if rows < 1:
            raise InvalidDataError(f"batch size must be >= 1 rows; got {rows}")
        start = 0
        for file in self._files:
            row = 0
            for raw in file.source.read(self._wanted, rows):
                yield self._chunk(raw, file.rule, Place(file.source.path, row), start)
                row += raw.rows
                start += raw.rows

    def check_labels(self) -> None:
        """Read all labels, and nothing else; raise `InvalidDataError` if any is outside the classes."""
        if self._wanted.label is None:
            raise InvalidDataError("no labels to check: name their column or array")
        outside, first = 0, ""
        for file in self._files:
            row = 0
            for raw in file.source.read(self._wanted.only_label, LABEL_ROWS):
                place, labels = Place(file.source.path, row), np.asarray(raw.label)
                bad = np.flatnonzero(file.rule.indices(labels, place) == OUTSIDE)
                if len(bad) and not outside:
                    value = labels.ravel()[bad[:1]].tolist()[0]
                    first = f"{place.row(int(bad[0]))}: label {value!r} is outside the classes"
                outside += len(bad)
                row += raw.rows
        if outside:
            raise InvalidDataError(
                f"{first}; {outside} of {self.rows} labels are; allowed are {self._files[0].rule.allowed()}"
            )

    def _chunk(self, raw: Raw, rule: LabelRule, place: Place, start: int) -> Chunk:
        """Make what the file has into what the signature asks for."""
        rows = {spec.name: to_tensor(raw.inputs[spec.name], spec, place) for spec in self._wanted.inputs}
        labels = None if raw.label is None else rule.indices(raw.label, place)
        return Chunk(rows, labels, start, place.path, place.start, raw.kept)


def open_dataset(
    paths: Sequence[Path],
    signature: Signature,
    *,
    label: str | None = None,
    classes: Sequence[str] = (),
    keep: Sequence[str] = (),
) -> Dataset:
    """Open `paths` (files, folders, patterns) as rows for `signature`'s inputs.

    `label` names the column or array of labels; `classes` the names that text labels may be, in the
    order of the scores; `keep` columns to hand on as they are. Raises `InvalidDataError`.
    """
    wanted = Wanted(signature.inputs, label, tuple(keep))
    only = signature.inputs[0].name if len(signature.inputs) == 1 else None
    sources = [_open(path, only) for path in find_files(paths)]
    for source in sources:
        source.check(wanted)
    count = len(classes) or _score_count(signature)
    files = [
        OpenFile(source, source.count(wanted), LabelRule(tuple(classes), count, source.untyped))
        for source in sources
    ]
    dataset = Dataset(files, wanted)
    if not dataset.rows:
        raise InvalidDataError(f"{', '.join(str(path) for path in paths)}: no rows: the data is empty")
    if label is not None:
        dataset.check_labels()
    return dataset


def _open(path: Path, only_input: str | None) -> Source:
    """Open one file by how its name ends."""
    if path.suffix == ".parquet":
        return ParquetFile.open(path)
    if path.suffix == ".csv":
        return CsvFile.open(path)
    return NpzFile.open(path, only_input)


def _score_count(signature: Signature) -> int:
    """How many classes the scores have; 0 where the signature leaves it open."""
    shape = signature.outputs[0].shape
    return shape[-1] if shape and shape[-1] != ANY_SIZE else 0
