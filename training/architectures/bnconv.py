"""The residual convnet with batch normalisation, a graph of layers and not a stack.

F. Chollet, Deep Learning with Python (Manning, 2018), chapter 7, sections 7.1.4, "Directed acyclic graphs
of layers" (residual connections), and 7.3.1, "Batch normalization".
"""

from typing import Any

from .entry import image_input

SIZE = 16
FILTERS = (16, 32, 64)
# Keras' 0.99 averages over hundreds of steps; an epoch here has about thirty.
MOMENTUM = 0.9


def build(shape: tuple[int, int, int], classes: int) -> Any:
    """Return the network for rows of `shape`; its output, named `scores`, is float32 [row, class]."""
    import keras  # noqa: PLC0415 - heavy: only when a network is built

    image, x = image_input(shape, SIZE)
    for index, filters in enumerate(FILTERS):
        x = _residual_block(x, filters, strides=1 if index == 0 else 2)
    x = keras.layers.GlobalAveragePooling2D()(x)
    scores = keras.layers.Dense(classes, activation="softmax", name="scores")(x)
    return keras.Model(image, scores, name="bnconv")


def _residual_block(x: Any, filters: int, *, strides: int) -> Any:
    """Two convolutions, and around them a 1x1 convolution that brings `x` to the same shape."""
    from keras import layers  # noqa: PLC0415 - heavy: only when a network is built

    around = layers.Conv2D(filters, 1, strides=strides, use_bias=False)(x)
    x = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=MOMENTUM)(x)
    x = layers.ReLU()(x)
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=MOMENTUM)(x)
    return layers.ReLU()(layers.Add()([x, around]))
