"""What is done with images: moved copies, and what can be told of them in numbers."""

import numpy as np
from numpy.typing import NDArray

from .parts import Part

IMAGE = "image"
PROFILE = "profile"


def with_shifted(part: Part) -> Part:
    """Return `part` and, after it, its images moved by one pixel down, up, right and left."""
    moves = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
    whole = part.take(np.tile(np.arange(part.rows), len(moves)))
    images = np.concatenate([_moved(part.inputs[IMAGE], down, right) for down, right in moves])
    return Part({**whole.inputs, IMAGE: images}, whole.label, whole.value)


def with_profile(part: Part) -> Part:
    """Return `part` with the input `profile` beside the image: how bright each line of pixels is.

    float32 [row, height + width], first the lines across, then those down: features in a table, as a network
    with two inputs wants them.
    """
    image = part.inputs[IMAGE].mean(axis=-1)
    profile = np.concatenate([image.mean(axis=2), image.mean(axis=1)], axis=1)
    return Part({**part.inputs, PROFILE: profile}, part.label, part.value)


def with_ink(part: Part) -> Part:
    """Return `part` with the value of each row: the percentage of its brightness there could be."""
    image = part.inputs[IMAGE]
    ink = 100 * image.reshape(len(image), -1).mean(axis=1, dtype=np.float64)
    return Part(part.inputs, part.label, ink.astype(np.float32))


def _moved(image: NDArray[np.float32], down: int, right: int) -> NDArray[np.float32]:
    """Move images by at most one pixel each way; what comes in at the edge is black."""
    height, width = image.shape[1:3]
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return padded[:, 1 - down : 1 - down + height, 1 - right : 1 - right + width]
