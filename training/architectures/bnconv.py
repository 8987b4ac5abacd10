"""The residual convnet with batch normalisation, a graph of layers and not a stack.

F. Chollet, Deep Learning with Python (Manning, 2018), chapter 7, sections 7.1.4, "Directed acyclic graphs
of layers" (residual connections), and 7.3.1, "Batch normalization".
"""

from collections.abc import Sequence
from typing import Any

from .entry import heads, image_input
from .task import Task

# Keras' 0.99 averages over hundreds of steps; an epoch here has about thirty.
MOMENTUM = 0.9


def build(
    task: Task, *, size: int | None = 16, filters: Sequence[int] = (16, 32, 64), dropout: float = 0.0
) -> Any:
    """Return the network: a residual block for each of `filters`, all but the first halving the image."""
    import keras  # noqa: PLC0415 - heavy: only when a network is built

    image, x = image_input(task, size)
    for index, width in enumerate(filters):
        x = residual_block(x, width, strides=1 if index == 0 else 2)
    x = keras.layers.GlobalAveragePooling2D()(x)
    if dropout:
        x = keras.layers.Dropout(dropout)(x)
    return keras.Model(image, heads(task, x), name="bnconv")


def residual_block(x: Any, filters: int, *, strides: int) -> Any:
    """Two convolutions, and around them a 1x1 convolution that brings `x` to the same shape."""
    from keras import layers  # noqa: PLC0415 - heavy: only when a network is built

    around = layers.Conv2D(filters, 1, strides=strides, use_bias=False)(x)
    x = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=MOMENTUM)(x)
    x = layers.ReLU()(x)
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=MOMENTUM)(x)
    return layers.ReLU()(layers.Add()([x, around]))
