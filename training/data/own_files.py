"""A user's own rows, from any file that `unisono refit` and `score` read too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ensemble.data.dataset import Dataset, open_dataset
from ensemble.errors import InvalidDataError
from ensemble.signature import ANY_SIZE, Signature, TensorSpec

from .parts import Data, Part, three_parts

BATCH_ROWS = 4096


@dataclass(frozen=True, slots=True)
class OwnFiles:
    """Where the rows are and what is in them.

    Attributes:
        train: Files, folders or patterns to learn from.
        validation: Rows for stopping early and for the weights; split off `train` with `test` if left out.
        test: Rows that are only reported on.
        inputs: Name of each input, and the shape of one row of it.
        label: Column or array of the classes; empty for none.
        classes: Their names, in the order of the scores; the labels are 0, 1, 2 if left out.
        value: Column or array of a number to predict; empty for none.
    """

    train: tuple[Path, ...]
    inputs: Mapping[str, tuple[int, ...]]
    validation: tuple[Path, ...] = ()
    test: tuple[Path, ...] = ()
    label: str = ""
    classes: tuple[str, ...] = ()
    value: str = ""

    def load(self) -> Data:
        """Read all parts into memory; `InvalidDataError` says which row of which file is wrong."""
        train = self._read(self.train)
        classes = self.classes or _numbered(train)
        if not self.validation:
            return three_parts(train, classes)
        validation = self._read(self.validation)
        test = self._read(self.test) if self.test else validation.take(np.arange(0))
        return Data(train, validation, test, classes)

    def _read(self, paths: Sequence[Path]) -> Part:
        specs = tuple(TensorSpec(name, "float32", shape) for name, shape in self.inputs.items())
        # What comes out isn't known before training; the labels are checked against the classes alone.
        signature = Signature(specs, (TensorSpec("scores", "float32", (len(self.classes) or ANY_SIZE,)),))
        keep = (self.value,) if self.value else ()
        return _whole(
            open_dataset(paths, signature, label=self.label or None, classes=self.classes, keep=keep),
            self.value,
        )


def _whole(dataset: Dataset, value: str) -> Part:
    """Return all rows of `dataset`."""
    chunks = list(dataset.batches(BATCH_ROWS))
    names = chunks[0].rows
    inputs = {name: np.concatenate([np.asarray(chunk.rows[name]) for chunk in chunks]) for name in names}
    labels = [chunk.labels for chunk in chunks if chunk.labels is not None]
    values = [chunk.kept[value].to_numpy(zero_copy_only=False) for chunk in chunks] if value else []
    part = Part(
        inputs,
        np.concatenate(labels) if labels else None,
        np.concatenate(values).astype(np.float32) if values else None,
    )
    if part.value is not None and not np.isfinite(part.value).all():
        row = int(np.flatnonzero(~np.isfinite(part.value))[0])
        raise InvalidDataError(f"row {row}: {value} is {part.value[row]}; every row needs a number to learn")
    return part


def _numbered(part: Part) -> tuple[str, ...]:
    """Return the names of classes that are only numbered."""
    return () if part.label is None else tuple(str(index) for index in range(int(part.label.max()) + 1))
