"""Named arrays as bytes that are the same for the same values: one line of JSON, then the numbers.

NPZ would do, but says when it was written, and may unpack to more than it is. What is read here is a view of
the bytes that it was read from.
"""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_store import canonical
from model_store.canonical import parsed, part

from ..signature import DTYPES

_NUMBERS = frozenset(DTYPES) - {"bytes"}


def write(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Write arrays of numbers, little-endian, in order of their names."""
    named = sorted(arrays.items())
    listed = [[name, array.dtype.name, list(array.shape)] for name, array in named]
    parts = [array.astype(array.dtype.newbyteorder("<")).tobytes() for _, array in named]
    return b"".join([canonical.encode({"arrays": listed}), *parts])


def read(data: bytes, role: str) -> dict[str, NDArray[Any]]:
    """Read what `write` wrote, without a copy; StoreCorruptError if it is anything else."""
    end = data.find(b"\n") + 1
    return parsed(lambda head: _arrays(head, memoryview(data)[end:]), data[:end], role)


def _arrays(head: Mapping[str, Any], data: memoryview) -> dict[str, NDArray[Any]]:
    """Cut `data` into the arrays that are listed; ValueError or TypeError if they don't fill it."""
    found, start = {}, 0
    for name, dtype, shape in part(list, head, "arrays"):
        if dtype not in _NUMBERS or any(type(size) is not int or size < 0 for size in shape):
            raise ValueError(f"{name!r:.80} is of {dtype!r:.80} and shape {shape!r:.80}")
        kind = np.dtype(dtype).newbyteorder("<")
        end = start + prod(shape) * kind.itemsize
        if end > len(data):
            raise ValueError(f"{name!r:.80} ends at byte {end} of {len(data)}")
        found[str(name)] = np.frombuffer(data[start:end], kind).reshape(shape)
        start = end
    if start != len(data):
        raise ValueError(f"{len(data) - start} bytes are left over")
    return found
