"""tf.Example -> rows: each feature is an input, by its name.

An example holds floats, whole numbers or bytes, and no shape: the signature says it. Features that are no
input are left alone, as TensorFlow does.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.errors import InvalidRequestError
from ensemble.member import Rows
from ensemble.signature import ANY_SIZE, TensorSpec

from . import tensors
from .serving import ModelInfo
from .tfs_codec import check_nan, check_row_counts

# Which list of a feature holds values of a dtype, and what TensorFlow calls them. float16 is in none.
FLOATS, INTEGERS, BYTES = ("float_list", "float"), ("int64_list", "int64"), ("bytes_list", "string")
LISTS = {"float32": FLOATS, "float64": FLOATS, "bytes": BYTES} | dict.fromkeys(
    ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"), INTEGERS
)


def decode_examples(message: Any, info: ModelInfo, *, allow_nan: bool = False) -> Rows:
    """Read the rows of a tensorflow.serving.Input, in the signature's order. Raises InvalidRequestError."""
    kind = message.WhichOneof("kind")
    examples = getattr(message, kind).examples if kind else ()
    if not examples:
        raise InvalidRequestError("Input is empty.")
    check_row_counts([len(examples)], info)
    context = message.example_list_with_context.context if kind == "example_list_with_context" else None
    rows = {spec.name: _column(spec, examples, context, info) for spec in info.signature.inputs}
    if not allow_nan:
        check_nan(rows, info)
    return rows


def _column(spec: TensorSpec, examples: Sequence[Any], context: Any, info: ModelInfo) -> NDArray[Any]:
    """Lay the values of one input one row after the other."""
    if spec.dtype not in LISTS or spec.shape.count(ANY_SIZE) > 1:
        raise InvalidRequestError(
            f"input '{spec.name}' of model '{info.name}', {spec.dtype} {list(spec.shape)}, can't be told by "
            "tf.Example; send tensors to Predict"
        )
    columns: list[NDArray[Any]] = []
    for row, example in enumerate(examples):
        values = _feature(spec, example, context)
        shape = _shape(spec, len(values), row)
        if columns and shape != columns[0].shape:
            raise InvalidRequestError(
                f"feature {spec.name} of row {row} has the shape {list(shape)}, but that of row 0 has "
                f"{list(columns[0].shape)}; send rows of other sizes in requests of their own"
            )
        columns.append(_row(spec, values, shape, row))
    return np.stack(columns)


def _feature(spec: TensorSpec, example: Any, context: Any) -> Sequence[Any]:
    """Find the values of an input in the example, or else in the context."""
    field, name = LISTS[spec.dtype]
    holders = [each for each in (example, context) if each is not None and spec.name in each.features.feature]
    if not holders:
        raise InvalidRequestError(
            f"Name: <unknown>, Feature: {spec.name} (data type: {name}) is required but could not be found."
        )
    feature = holders[0].features.feature[spec.name]
    if feature.WhichOneof("kind") != field:
        raise InvalidRequestError(
            f"Name: <unknown>, Feature: {spec.name}.  Data types don't match. Expected type: {name}"
        )
    values: Sequence[Any] = getattr(feature, field).value
    return values


def _shape(spec: TensorSpec, count: int, row: int) -> tuple[int, ...]:
    """Work out the size of the one axis that may have any."""
    known = prod(size for size in spec.shape if size != ANY_SIZE)
    free, left = divmod(count, known) if known else (0, count)
    if left or (ANY_SIZE not in spec.shape and count != known):
        raise InvalidRequestError(
            f"Name: <unknown>, Key: {spec.name}, Index: {row}.  Number of {LISTS[spec.dtype][1]} values != "
            f"expected.  Values size: {count} but output shape: {list(spec.shape)}"
        )
    return tuple(free if size == ANY_SIZE else size for size in spec.shape)


def _row(spec: TensorSpec, values: Sequence[Any], shape: tuple[int, ...], row: int) -> NDArray[Any]:
    try:
        if spec.dtype == "bool" and not set(values) <= {0, 1}:
            raise ValueError("a bool is 0 or 1")  # noqa: TRY301 - said like the others
        return tensors.from_values(values, tensors.BY_DTYPE[spec.dtype], shape)
    except ValueError as error:
        raise InvalidRequestError(f"feature {spec.name} of row {row}: {error}") from error
