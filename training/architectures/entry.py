"""How a network takes its images in."""

from typing import Any


def image_input(shape: tuple[int, int, int], size: int) -> tuple[Any, Any]:
    """Return the input named `image` and the same images resized to `size` x `size`.

    The resizing is part of the network, so every member takes the same rows.
    """
    import keras  # noqa: PLC0415 - heavy: only when a network is built

    image = keras.Input(shape, name="image")
    # `training=False` is not idle: left out, Resizing takes its own default, True, and Keras 3.15 hands
    # that on to every BatchNormalization behind it, which then normalises by the batch when the network
    # is called plainly or exported to ONNX.
    return image, keras.layers.Resizing(size, size)(image, training=False)
