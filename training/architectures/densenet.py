"""A small DenseNet: every layer sees what all layers before it made.

G. Huang, Z. Liu, L. van der Maaten, K. Weinberger, Densely Connected Convolutional Networks (CVPR 2017).
Its batch normalisations stand before the convolutions, where no converter can fold them in.
"""

from collections.abc import Sequence
from typing import Any

from .bnconv import MOMENTUM
from .entry import heads, image_input
from .task import Task


def build(
    task: Task,
    *,
    size: int | None = None,
    growth: int = 12,
    blocks: Sequence[int] = (3, 3, 3),
    dropout: float = 0.0,
) -> Any:
    """Return the network: dense blocks of so many layers, each layer adding `growth` channels.

    Between blocks a 1x1 convolution halves the channels, and pooling the image.
    """
    import keras  # noqa: PLC0415 - heavy: only when a network is built
    from keras import layers  # noqa: PLC0415 - heavy: only when a network is built

    image, x = image_input(task, size)
    channels = 2 * growth
    x = layers.Conv2D(channels, 3, padding="same", use_bias=False)(x)
    for index, count in enumerate(blocks):
        if index:
            channels //= 2
            x = layers.AveragePooling2D(2)(_convolution(x, channels, kernel=1))
        for _ in range(count):
            x = layers.Concatenate()([x, _convolution(x, growth, kernel=3)])
        channels += count * growth
    x = layers.ReLU()(layers.BatchNormalization(momentum=MOMENTUM)(x))
    x = layers.GlobalAveragePooling2D()(x)
    if dropout:
        x = layers.Dropout(dropout)(x)
    return keras.Model(image, heads(task, x), name="densenet")


def _convolution(x: Any, filters: int, *, kernel: int) -> Any:
    """Batch normalisation, ReLU, convolution."""
    from keras import layers  # noqa: PLC0415 - heavy: only when a network is built

    x = layers.ReLU()(layers.BatchNormalization(momentum=MOMENTUM)(x))
    return layers.Conv2D(filters, kernel, padding="same", use_bias=False)(x)
