"""A network with two outputs, a class and a number, that share what they see and part before the end.

F. Chollet, Deep Learning with Python (Manning, 2018), chapter 7, sections 7.1.3, "Multi-output models", and
7.1.4, residual connections.
"""

from collections.abc import Sequence
from typing import Any

from ensemble.errors import InvalidModelError

from .bnconv import residual_block
from .entry import heads, image_input
from .task import Task


def build(task: Task, *, size: int | None = 16, filters: Sequence[int] = (16, 32), units: int = 32) -> Any:
    """Return the network: residual blocks, then a dense layer of its own for each output."""
    import keras  # noqa: PLC0415 - heavy: only when a network is built
    from keras import layers  # noqa: PLC0415 - heavy: only when a network is built

    if not task.classes or not task.value:
        raise InvalidModelError("this network needs both a class and a value to learn; the data have one")
    image, x = image_input(task, size)
    for index, width in enumerate(filters):
        x = residual_block(x, width, strides=1 if index == 0 else 2)
    x = layers.GlobalAveragePooling2D()(x)
    branches = [layers.Dense(units, activation="relu")(x) for _ in ("scores", "value")]
    return keras.Model(image, heads(task, *branches), name="two_outputs")
