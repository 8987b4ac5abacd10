"""The depthwise separable convnet.

F. Chollet, Deep Learning with Python (Manning, 2018), chapter 7, section 7.3.1, "Depthwise separable
convolution".
"""

from typing import Any

from .entry import heads, image_input
from .task import Task


def build(task: Task, *, size: int = 32, dropout: float = 0.0, activation: str = "relu") -> Any:
    """Return the network for images resized to `size` pixels a side: 32 at least.

    Two poolings and six 3x3 kernels without padding leave one pixel of 32.
    """
    import keras  # noqa: PLC0415 - heavy: only when a network is built

    image, x = image_input(task, size)
    for layer in body(activation):
        x = layer(x)
    if dropout:
        x = keras.layers.Dropout(dropout)(x)
    return keras.Model(image, heads(task, x), name="sepconv")


def body(activation: str = "relu") -> list[Any]:
    """Return the layers up to the last, for square images of 32 pixels or more and any number of channels."""
    from keras import layers  # noqa: PLC0415 - heavy: only when a network is built

    return [
        _separable(32, activation),
        _separable(64, activation),
        layers.MaxPooling2D(2),
        _separable(64, activation),
        _separable(128, activation),
        layers.MaxPooling2D(2),
        _separable(64, activation),
        _separable(128, activation),
        layers.GlobalAveragePooling2D(),
        layers.Dense(32, activation=activation),
    ]


def _separable(filters: int, activation: str) -> Any:
    from keras import initializers, layers  # noqa: PLC0415 - heavy: only when a network is built

    # Keras' own start counts all channels as inputs of a depthwise filter, which sees one: the signal then
    # shrinks from layer to layer and the network stays at chance for its first ten epochs or more.
    return layers.SeparableConv2D(
        filters,
        3,
        activation=activation,
        depthwise_initializer=initializers.VarianceScaling(scale=1.0, mode="fan_out"),
        pointwise_initializer="he_normal",
    )
