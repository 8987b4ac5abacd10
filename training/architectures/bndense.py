"""The densely connected network with batch normalisation.

F. Chollet, Deep Learning with Python (Manning, 2018), chapter 7, section 7.3.1, "Batch normalization".
"""

from typing import Any

from .entry import image_input

SIZE = 8
UNITS = (64, 64, 32)
# Keras' 0.99 averages over hundreds of steps; an epoch here has about thirty.
MOMENTUM = 0.9


def build(shape: tuple[int, int, int], classes: int) -> Any:
    """Return the network for rows of `shape`; its output, named `scores`, is float32 [row, class].

    Flatten, then Dense, BatchNormalization and ReLU, three times.
    """
    import keras  # noqa: PLC0415 - heavy: only when a network is built

    image, x = image_input(shape, SIZE)
    x = keras.layers.Flatten()(x)
    for units in UNITS:
        # No bias: the normalisation that follows would take it off again.
        x = keras.layers.Dense(units, use_bias=False)(x)
        x = keras.layers.BatchNormalization(momentum=MOMENTUM)(x)
        x = keras.layers.ReLU()(x)
    scores = keras.layers.Dense(classes, activation="softmax", name="scores")(x)
    return keras.Model(image, scores, name="bndense")
