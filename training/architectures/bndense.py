"""The densely connected network with batch normalisation.

F. Chollet, Deep Learning with Python (Manning, 2018), chapter 7, section 7.3.1, "Batch normalization".
"""

from collections.abc import Sequence
from typing import Any, Literal

from .entry import heads, image_input, table_input
from .task import Task

# Keras' 0.99 averages over hundreds of steps; an epoch here has about thirty.
MOMENTUM = 0.9


def build(
    task: Task,
    *,
    size: int | None = 8,
    units: Sequence[int] = (64, 64, 32),
    dropout: float = 0.0,
    activation: str = "relu",
    normalization: Literal["before", "after", "none"] = "before",
) -> Any:
    """Return the network for a table, or for images resized to `size` pixels a side and flattened.

    Dense, BatchNormalization and the activation for each of `units`; `normalization` puts it before or
    after the activation, or leaves it out.
    """
    import keras  # noqa: PLC0415 - heavy: only when a network is built

    entry, x = table_input(task) if task.image is None else image_input(task, size)
    x = keras.layers.Flatten()(x)
    for width in units:
        # No bias where the normalisation that follows would take it off again.
        x = keras.layers.Dense(width, use_bias=normalization != "before")(x)
        if normalization == "before":
            x = keras.layers.BatchNormalization(momentum=MOMENTUM)(x)
        x = keras.layers.Activation(activation)(x)
        if normalization == "after":
            x = keras.layers.BatchNormalization(momentum=MOMENTUM)(x)
        if dropout:
            x = keras.layers.Dropout(dropout)(x)
    return keras.Model(entry, heads(task, x), name="bndense")
