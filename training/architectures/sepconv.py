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
        _separable(32),
        _separable(64),
        layers.MaxPooling2D(2),
        _separable(64),
        _separable(128),
        layers.MaxPooling2D(2),
        _separable(64),
        _separable(128),
        layers.GlobalAveragePooling2D(),
        layers.Dense(32, activation="relu"),
        layers.Dense(classes, activation="softmax", name="scores"),
    ]


def _separable(filters: int) -> Any:
    from keras import initializers, layers  # noqa: PLC0415 - heavy: only when a network is built

    # Keras' own start counts all channels as inputs of a depthwise filter, which sees one: the signal then
    # shrinks from layer to layer and the network stays at chance for its first ten epochs or more.
    return layers.SeparableConv2D(
        filters,
        3,
        activation="relu",
        depthwise_initializer=initializers.VarianceScaling(scale=1.0, mode="fan_out"),
        pointwise_initializer="he_normal",
    )
