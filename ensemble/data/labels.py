"""Labels: integers are class indices, text is class names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from .tensors import Place

OUTSIDE = -1
NAMES_SHOWN = 12
NUMBER = re.compile(r"\d+(\.\d*)?([eE][+-]?\d{1,2})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class LabelRule:
    """Which labels are allowed. `untyped`: they come from a file of text, where 1 may be either."""

    classes: tuple[str, ...]
    count: int  # of classes; 0 when not known
    untyped: bool = False

    def indices(self, labels: NDArray[Any], place: Place) -> NDArray[np.int64]:
        """Return the class index of each label; `OUTSIDE` where there is none."""
        flat = labels.reshape(len(labels)) if labels.size == len(labels) else labels
        if flat.ndim != 1:
            raise InvalidDataError(
                f"{place.path}: labels have shape {list(labels.shape[1:])} a row; one class a row is needed"
                " (for one-hot labels store the argmax)"
            )
        if flat.dtype.kind in "SUO":
            return self._of_names(flat, place)
        return self._of_numbers(flat, place)

    def allowed(self) -> str:
        """What labels may be, in words."""
        if not self.count:
            return "integers from 0"
        if not self.classes:
            return f"0 to {self.count - 1}"
        more = ", ..." if len(self.classes) > NAMES_SHOWN else ""
        return f"0 to {self.count - 1}, or the names {', '.join(self.classes[:NAMES_SHOWN])}{more}"

    def _of_numbers(self, labels: NDArray[Any], place: Place) -> NDArray[np.int64]:
        """Return integers, or floats that are whole, as they are where they name a class."""
        if labels.dtype.kind not in "iuf":
            raise InvalidDataError(f"{place.path}: labels are {labels.dtype}; allowed are {self.allowed()}")
        top = self.count or np.iinfo(np.int64).max
        whole = np.floor(labels) == labels if labels.dtype.kind == "f" else True
        # NaN compares false, so a missing label ends up outside.
        fine = (labels >= 0) & (labels < top) & whole
        return np.where(fine, labels, OUTSIDE).astype(np.int64)

    def _of_names(self, labels: NDArray[Any], place: Place) -> NDArray[np.int64]:
        """Return the index of each name; in a file of text also that of each number."""
        texts = [_text(label) for label in labels]
        known = {name: index for index, name in enumerate(self.classes)}
        if self.untyped:
            numbers = self._numbers(set(texts))
            _refuse_ambiguous(known, numbers, texts, place)
            known = numbers | known
        return np.array([known.get(text, OUTSIDE) for text in texts], dtype=np.int64)

    def _numbers(self, texts: set[str]) -> dict[str, int]:
        """Those of `texts` that are whole numbers of classes, however they are written: 2, 2.0, 2e0."""
        whole = {text: float(text) for text in texts if NUMBER.fullmatch(text)}
        top = self.count or np.iinfo(np.int64).max
        return {text: int(value) for text, value in whole.items() if value.is_integer() and value < top}


def _refuse_ambiguous(
    known: dict[str, int], numbers: dict[str, int], texts: Sequence[str], place: Place
) -> None:
    """Refuse a text that is the name of one class and the number of another."""
    for row, text in enumerate(texts):
        if text in known and numbers.get(text, known[text]) != known[text]:
            raise InvalidDataError(
                f"{place.row(row)}: label {text!r} is the name of class {known[text]} and the number of"
                " another, and a CSV can't tell: store the labels in Parquet or NPZ"
            )


def _text(label: object) -> str:
    """Return a label as text; bytes are UTF-8."""
    return label.decode(errors="replace") if isinstance(label, bytes) else str(label)
