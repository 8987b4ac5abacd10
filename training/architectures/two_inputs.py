"""A network with two named inputs, an image and a table's row, each with a branch of its own.

F. Chollet, Deep Learning with Python (Manning, 2018), chapter 7, sections 7.1.2, "Multi-input models", and
7.1.4, residual connections.
"""

from collections.abc import Sequence
from typing import Any

from .bnconv import residual_block
from .entry import heads, image_input, table_input
from .task import Task


def build(
    task: Task,
    *,
    size: int | None = 16,
    filters: Sequence[int] = (16, 32),
    units: int = 32,
    dropout: float = 0.0,
) -> Any:
    """Return the network: residual blocks over the image, a dense layer over the features, joined."""
    import keras  # noqa: PLC0415 - heavy: only when a network is built
    from keras import layers  # noqa: PLC0415 - heavy: only when a network is built

    image, x = image_input(task, size)
    features, y = table_input(task)
    for index, width in enumerate(filters):
        x = residual_block(x, width, strides=1 if index == 0 else 2)
    x = layers.GlobalAveragePooling2D()(x)
    y = layers.Dense(units, activation="relu")(y)
    joined = layers.Dense(units, activation="relu")(layers.Concatenate()([x, y]))
    # Around the layer that joins them, so that neither branch has to pass through it to be heard.
    joined = layers.Concatenate()([joined, y])
    if dropout:
        joined = layers.Dropout(dropout)(joined)
    return keras.Model([image, features], heads(task, joined), name="two_inputs")
