"""Models that PyTorch exported, and what it gives for rows: written once by `write`, read by tests."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent


def model(name: str) -> Path:
    """Return the ONNX file of `conv` or `dense`."""
    return HERE / f"{name}.onnx"


def answers(name: str) -> tuple[dict[str, NDArray[Any]], NDArray[np.float32]]:
    """Return rows by input, and the scores [row, class] that PyTorch gives for them."""
    with np.load(HERE / f"{name}.npz", allow_pickle=False) as arrays:
        found = dict(arrays)
    scores = found.pop("scores")
    return found, scores
