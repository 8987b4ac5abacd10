"""How a network takes its rows in, and how it says what it makes of them."""

from typing import Any

from ensemble.errors import InvalidModelError

from .task import Spread, Task


def image_input(task: Task, size: int | None) -> tuple[Any, Any]:
    """Return the image input, and the same images normalised and, given a `size`, resized to size x size.

    Both are part of the network, so every member takes the same rows, as they are.
    """
    import keras  # noqa: PLC0415 - heavy: only when a network is built

    name = task.image
    if name is None:
        raise InvalidModelError(f"this network needs an image, [height, width, channels]; {_given(task)}")
    image = keras.Input(task.inputs[name], name=name)
    x = _normalised(image, task.spreads[name])
    if size is None:
        return image, x
    # `training=False` is not idle: left out, Resizing takes its own default, True, and Keras 3.15 hands
    # that on to every BatchNormalization behind it, which then normalises by the batch when the network
    # is called plainly or exported to ONNX.
    return image, keras.layers.Resizing(size, size)(x, training=False)


def table_input(task: Task) -> tuple[Any, Any]:
    """Return the input of features, and the same features normalised."""
    import keras  # noqa: PLC0415 - heavy: only when a network is built

    name = task.table
    if name is None:
        raise InvalidModelError(f"this network needs features, [features]; {_given(task)}")
    features = keras.Input(task.inputs[name], name=name)
    return features, _normalised(features, task.spreads[name])


def heads(task: Task, x: Any, for_value: Any = None) -> list[Any]:
    """Return the outputs: `scores` float32 [row, class], `value` float32 [row, 1], or both.

    `x` is what they are computed from; `for_value`, if given, what the value alone is.
    """
    from keras import layers  # noqa: PLC0415 - heavy: only when a network is built

    outputs = []
    # float32 whatever the network computes in: rounded to 16 bits, scores of a row no longer add up to 1.
    if task.classes:
        outputs.append(layers.Dense(task.classes, activation="softmax", name="scores", dtype="float32")(x))
    if task.value_spread is not None:
        (mean,), (variance,) = task.value_spread.mean, task.value_spread.variance
        number = layers.Dense(1, name="normal_value", dtype="float32")(x if for_value is None else for_value)
        # Learned as so many standard deviations from the mean, said in its own unit.
        outputs.append(layers.Rescaling(variance**0.5, mean, name="value", dtype="float32")(number))
    return outputs


def _normalised(x: Any, spread: Spread) -> Any:
    """Return (x - mean) / standard deviation."""
    from keras import layers  # noqa: PLC0415 - heavy: only when a network is built

    # Of a table each feature has its own, of an image all pixels have one.
    axis = -1 if len(spread.mean) > 1 else None
    mean, variance = (
        (list(spread.mean), list(spread.variance))
        if axis is not None
        else (spread.mean[0], spread.variance[0])
    )
    return layers.Normalization(axis=axis, mean=mean, variance=variance)(x)


def _given(task: Task) -> str:
    return "the data have " + ", ".join(f"{name} {list(shape)}" for name, shape in task.inputs.items())
