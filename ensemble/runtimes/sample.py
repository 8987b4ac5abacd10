"""Made-up rows that fit a signature: what a model is tried on when there is no data at hand."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidModelError
from ..member import Rows
from ..signature import ANY_SIZE, Signature, TensorSpec

# How long an axis is made that may have any length.
FREE_SIZE = 8


def random_rows(signature: Signature, count: int, *, seed: int = 0) -> Rows:
    """Return `count` rows, the same every time: floats in [0, 1), integers and booleans 0 or 1."""
    random = np.random.default_rng(seed)
    return {spec.name: _random_array(spec, count, random) for spec in signature.inputs}


def _random_array(spec: TensorSpec, count: int, random: np.random.Generator) -> NDArray[Any]:
    """Make up one input's array."""
    shape = (count, *(FREE_SIZE if size == ANY_SIZE else size for size in spec.shape))
    if spec.dtype == "bytes":
        raise InvalidModelError(
            f"input {spec.name!r} takes text, which members can't yet; encode it as numbers"
        )
    if spec.dtype.startswith("float"):
        return random.random(shape).astype(spec.dtype)
    # 0 and 1 are in range for every integer: categories, token ids, pixels.
    return random.integers(0, 2, shape).astype(spec.dtype)
