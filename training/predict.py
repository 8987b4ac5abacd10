"""What a network gives for rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

BATCH_ROWS = 512


def predict(network: Any, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Return each output of a Keras network by name, float32 [row, ...], computed a batch at a time."""
    names = [tensor.name for tensor in network.inputs]
    rows = len(inputs[names[0]])
    batches = []
    for start in range(0, rows, BATCH_ROWS):
        given = [inputs[name][start : start + BATCH_ROWS] for name in names]
        made = network(given[0] if len(given) == 1 else given, training=False)
        batches.append([np.asarray(array) for array in (made if isinstance(made, list | tuple) else [made])])
    return dict(zip(network.output_names, map(np.concatenate, zip(*batches, strict=True)), strict=True))
