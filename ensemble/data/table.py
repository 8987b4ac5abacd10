"""From Arrow columns to arrays, for every format that has columns.

A tensor is one column named as the input (numbers, or lists of them, nested or flat), or one column
for each value of a row: `image_0`, `image_1`, ... in C order.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..signature import ANY_SIZE, TensorSpec
from .source import Raw, Wanted
from .tensors import Place

NAMES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class TableBlock:
    """Rows of a record batch."""

    batch: Any
    wanted: Wanted
    place: Place

    @property
    def rows(self) -> int:
        """How many they are."""
        return int(self.batch.num_rows)

    def slice(self, start: int, count: int) -> "TableBlock":
        """Return `count` of the rows, from `start`."""
        return TableBlock(self.batch.slice(start, count), self.wanted, self.place.after(start))

    def only(self, wanted: Wanted) -> "TableBlock":
        """Return the same rows, of which no more is wanted than this."""
        return replace(self, wanted=wanted)

    def raw(self) -> Raw:
        """Return them as arrays, or raise `InvalidDataError`."""
        return to_raw(self.batch, self.wanted, self.place)


def table_blocks(
    batches: Iterable[Any], wanted: Wanted, place: Place, rows: int, skip: int = 0
) -> Iterator[TableBlock]:
    """Cut record batches into blocks of `rows`, without the first `skip`; `place` is the first kept one."""
    done = 0
    for batch in rebatched(after(batches, skip), rows):
        yield TableBlock(batch, wanted, place.after(done))
        done += batch.num_rows


def after(batches: Iterable[Any], skip: int) -> Iterator[Any]:
    """Leave out the first `skip` rows."""
    for batch in batches:
        if batch.num_rows > skip:
            yield batch.slice(skip)
        skip = max(0, skip - batch.num_rows)


def columns_of(spec: TensorSpec, names: Sequence[str], place: Place) -> list[str]:
    """Return the columns that hold `spec`, in order, or raise `InvalidDataError` saying what is there."""
    if spec.name in names:
        return [spec.name]
    there = set(names)
    if ANY_SIZE in spec.shape:
        wanted = [name for name in (f"{spec.name}_{index}" for index in range(len(names))) if name in there]
    else:
        wanted = [f"{spec.name}_{index}" for index in range(prod(spec.shape))]
    missing = [name for name in wanted if name not in there]
    if missing or not wanted:
        spread = f", nor {missing[0]!r}" if 0 < len(missing) < len(wanted) else ""
        raise InvalidDataError(
            f"{place.path}: has no column {spec.name!r}{spread}; it has {_shown(names)}: name one column"
            f" {spec.name!r}, or one a value {spec.name}_0, {spec.name}_1, ..."
        )
    return wanted


def check_columns(wanted: Wanted, names: Sequence[str], place: Place) -> None:
    """Raise `InvalidDataError` unless `names` has all that is wanted, each once."""
    used = used_columns(wanted, names, place)
    twice = sorted({name for name in used if list(names).count(name) > 1})
    if twice:
        raise InvalidDataError(f"{place.path}: has several columns named {twice}: rename all but one")


def used_columns(wanted: Wanted, names: Sequence[str], place: Place) -> list[str]:
    """Return every column to read, each once."""
    used = [name for spec in wanted.inputs for name in columns_of(spec, names, place)]
    extra = [*([] if wanted.label is None else [wanted.label]), *wanted.keep]
    for name in extra:
        if name not in names:
            raise InvalidDataError(f"{place.path}: has no column {name!r}; it has {_shown(names)}")
    return list(dict.fromkeys([*used, *extra]))


def rebatched(batches: Iterable[Any], rows: int) -> Iterator[Any]:
    """Cut record batches of any size into batches of `rows` rows; only the last may be shorter."""
    waiting: list[Any] = []
    count = 0
    for batch in batches:
        rest = batch
        while rest.num_rows:
            part = rest.slice(0, rows - count)
            rest = rest.slice(part.num_rows)
            waiting.append(part)
            count += part.num_rows
            if count == rows:
                yield _joined(waiting)
                waiting, count = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(batches: list[Any]) -> Any:
    """Return one batch of all; one alone isn't copied."""
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def to_raw(batch: Any, wanted: Wanted, place: Place) -> Raw:
    """Return the tensors, labels and kept columns of one record batch."""
    names = batch.schema.names
    inputs = {}
    for spec in wanted.inputs:
        columns = [_array(batch.column(name), name, place) for name in columns_of(spec, names, place)]
        inputs[spec.name] = columns[0] if spec.name in names else np.stack(columns, axis=1)
    label = None if wanted.label is None else _array(batch.column(wanted.label), wanted.label, place)
    return Raw(batch.num_rows, inputs, label, {name: batch.column(name) for name in wanted.keep})


def _array(column: Any, name: str, place: Place) -> NDArray[Any]:
    """Return a column as [row] or, for lists, as [row, values of the row]."""
    rows = len(column)
    values, nested = column, False
    while True:
        if isinstance(values, pa.ExtensionArray):
            values = values.storage
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        if values.null_count:
            row = int(np.argmax(values.is_null().to_numpy(zero_copy_only=False))) * rows // len(values)
            raise InvalidDataError(
                f"{place.row(row)}: {name!r} is missing: fill or drop such rows", code="missing"
            )
        if not _is_list(values.type):
            break
        _check_lengths(values, name, rows, place)
        values, nested = values.flatten(), True
    array: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return array.reshape(rows, -1) if nested else array


def _check_lengths(lists: Any, name: str, rows: int, place: Place) -> None:
    """Raise `InvalidDataError` unless all lists of one level are of one length."""
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    odd = np.flatnonzero(lengths != lengths[:1])
    if len(odd):
        row = int(odd[0]) * rows // len(lengths)
        raise InvalidDataError(
            f"{place.row(row)}: {name!r} has {lengths[odd[0]]} values where row {place.start} has"
            f" {lengths[0]}: rows must be of one length",
            code="shape",
        )


def _is_list(dtype: Any) -> bool:
    """Whether a column of `dtype` holds lists."""
    return bool(
        pa.types.is_list(dtype) or pa.types.is_large_list(dtype) or pa.types.is_fixed_size_list(dtype)
    )


def _shown(names: Sequence[str]) -> str:
    """The columns there are; of very many, the first."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"{list(names)[:NAMES_SHOWN]}{more}"
