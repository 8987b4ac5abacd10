"""The depthwise separable convnet.

F. Chollet, Deep Learning with Python (Manning, 2018), chapter 7, section 7.3.1, "Depthwise separable
convolution".
"""

from typing import Any

from .entry import image_input

# The body needs 32 pixels at least: two poolings and six 3x3 kernels without padding leave one of them.
SIZE = 32


def build(shape: tuple[int, int, int], classes: int) -> Any:
    """Return the network for rows of `shape`; its output, named `scores`, is float32 [row, class]."""
    import keras  # noqa: PLC0415 - heavy: only when a network is built

    image, x = image_input(shape, SIZE)
    for layer in body(classes):
        x = layer(x)
    return keras.Model(image, x, name="sepconv")


def body(classes: int) -> list[Any]:
    """Return the layers in order, for square images of 32 pixels or more and any number of channels."""
    from keras import layers  # noqa: PLC0415 - heavy: only when a network is built

    return [
        layers.SeparableConv2D(32, 3, activation="relu"),
        layers.SeparableConv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.SeparableConv2D(64, 3, activation="relu"),
        layers.SeparableConv2D(128, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.SeparableConv2D(64, 3, activation="relu"),
        layers.SeparableConv2D(128, 3, activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(32, activation="relu"),
        layers.Dense(classes, activation="softmax", name="scores"),
    ]
