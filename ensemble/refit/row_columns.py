"""Columns of the data that say what its rows are to a refit: how much they count, what belongs together."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError, InvalidRequestError
from .objective import Vector
from .predictions import Predictions
from .sample import Sample


@dataclass(frozen=True, slots=True)
class RowColumns:
    """Names of columns. `group` and `time` exclude each other; `slices` are judged by value, in the gate."""

    weight: str | None = None
    group: str | None = None
    time: str | None = None
    slices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse folds that are to be made in two ways."""
        if self.group and self.time:
            raise InvalidRequestError(
                f"rows can't be kept together by {self.group!r} and ordered by {self.time!r}: name one"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, each once."""
        named = (self.weight, self.group, self.time, *self.slices)
        return tuple(dict.fromkeys(name for name in named if name is not None))

    def sample(self, predictions: Predictions) -> Sample:
        """Return the rows, with what the columns say of them; InvalidDataError if they say nonsense."""
        sample = self.weighed(predictions)
        together = self.group or self.time
        if together is None:
            return sample
        groups = np.unique(_values(predictions, together), return_inverse=True)[1]
        return replace(sample, groups=groups.astype(np.int64), in_time=self.time is not None)

    def slices_of(self, sample: Sample) -> dict[str, NDArray[np.bool_]]:
        """Return which rows each slice holds, by "column=value"."""
        found = {}
        for name in self.slices:
            values = _values(sample.predictions, name)[sample.place]
            for value in np.unique(values):
                found[f"{name}={value}"] = values == value
        return found

    def weighed(self, predictions: Predictions) -> Sample:
        """Return the rows, each counting as much as its column says: all that matters of rows that judge."""
        sample = Sample.of(predictions)
        return replace(sample, weights=_weights(predictions, self.weight)) if self.weight else sample


def _weights(predictions: Predictions, name: str) -> Vector:
    column = _column(predictions, name)
    try:
        weights = column.astype(np.float64)
    except (TypeError, ValueError):
        raise InvalidDataError(f"sample weights are numbers; column {name!r} holds {column[0]!r}") from None
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        # Where a row asks several questions, each of them has its weight.
        row = int(np.argmax(bad)) // predictions.asked.each
        value = weights[np.argmax(bad)]
        raise InvalidDataError(
            f"sample weights must be finite and >= 0; row {row} of column {name!r} has {value}"
        )
    if not weights.any():
        raise InvalidDataError(f"all sample weights of column {name!r} are zero: no row would count")
    return weights


def _values(predictions: Predictions, name: str) -> NDArray[np.generic]:
    """Return a column as values that can be told apart and sorted: as text, where they are mixed."""
    column = _column(predictions, name)
    return column.astype(str) if column.dtype.kind == "O" else column


def _column(predictions: Predictions, name: str) -> NDArray[np.generic]:
    if name not in predictions.kept:
        raise InvalidDataError(f"the data has no column {name!r}; it has {sorted(predictions.kept)}")
    column = predictions.kept[name]
    if column.ndim != 1:
        raise InvalidDataError(f"column {name!r} has {column.shape[1:]} values a row; one a row is needed")
    return column
