"""A small network after Xception: residual blocks of separable convolutions.

F. Chollet, Xception: Deep Learning with Depthwise Separable Convolutions (CVPR 2017): its entry flow, in
small. The convolutions come after normalisation and activation, as in K. He et al., Identity Mappings in
Deep Residual Networks (ECCV 2016).
"""

from collections.abc import Sequence
from typing import Any

from .bnconv import MOMENTUM
from .entry import heads, image_input
from .task import Task


def build(
    task: Task, *, size: int | None = None, filters: Sequence[int] = (32, 64, 128), dropout: float = 0.25
) -> Any:
    """Return the network: for each of `filters` two separable convolutions, halved, with a way around."""
    import keras  # noqa: PLC0415 - heavy: only when a network is built

    image, x = image_input(task, size)
    x = keras.layers.Conv2D(filters[0] // 2, 3, padding="same", use_bias=False)(x)
    for width in filters:
        x = _block(x, width)
    x = keras.layers.GlobalAveragePooling2D()(x)
    if dropout:
        x = keras.layers.Dropout(dropout)(x)
    return keras.Model(image, heads(task, x), name="xception")


def _block(x: Any, filters: int) -> Any:
    from keras import layers  # noqa: PLC0415 - heavy: only when a network is built

    around = layers.Conv2D(filters, 1, strides=2, padding="same", use_bias=False)(x)
    for _ in range(2):
        x = layers.BatchNormalization(momentum=MOMENTUM)(x)
        x = layers.ReLU()(x)
        x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False)(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    return layers.Add()([x, around])
