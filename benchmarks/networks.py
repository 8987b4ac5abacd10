"""The networks of the benchmark ensembles, with made-up parameters that are the same every time.

    python benchmarks/networks.py FOLDER NAME...

Writes FOLDER/NAME.keras for each name. It runs in a process of its own: TensorFlow must not get into what is
measured. The networks are never trained: how fast they are does not depend on their parameters' values.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

CLASSES = 10
IMAGE = (64, 64, 3)
FEATURES = 30


def sepconv() -> Any:
    """Build the depthwise separable convnet of Chollet, Deep Learning with Python, chapter 7."""
    import keras  # noqa: PLC0415 - heavy: in the child only

    from training.architectures.sepconv import body  # noqa: PLC0415

    scores = keras.layers.Dense(CLASSES, activation="softmax", name="scores")
    return keras.Sequential([keras.Input(IMAGE, name="image"), *body(), scores])


def bndense() -> Any:
    """Build a dense net of 6.5 million parameters, normalised after every layer."""
    from keras import layers  # noqa: PLC0415 - heavy: in the child only

    return _dense(IMAGE, "image", (512, 256, 128), [layers.Flatten()])


def bnconv() -> Any:
    """Build a convnet of three blocks, normalised after every convolution."""
    import keras  # noqa: PLC0415 - heavy: in the child only
    from keras import layers  # noqa: PLC0415

    stack: list[Any] = [keras.Input(IMAGE, name="image")]
    for filters in (32, 64, 128):
        stack.append(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        stack += [layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D(2)]
    stack += [layers.GlobalAveragePooling2D(), layers.Dense(CLASSES, activation="softmax", name="scores")]
    return keras.Sequential(stack)


def densenet() -> Any:
    """Build a DenseNet, growth 12, blocks of four: its normalisations can't be folded into convolutions."""
    import keras  # noqa: PLC0415 - heavy: in the child only
    from keras import layers  # noqa: PLC0415

    image = keras.Input(IMAGE, name="image")
    x = layers.Conv2D(24, 3, padding="same", use_bias=False)(image)
    for block in range(3):
        for _ in range(4):
            x = layers.Concatenate()([x, _normalised_conv(x, 12, 3)])
        if block < 2:  # noqa: PLR2004 - nothing to go over to after the last block
            x = layers.AveragePooling2D(2)(_normalised_conv(x, x.shape[-1] // 2, 1))
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax", name="scores")(x))


def narrow() -> Any:
    """Build a small dense net for 30 features."""
    return _dense((FEATURES,), "features", (64, 64))


def deep() -> Any:
    """Build a small dense net of three layers for 30 features."""
    return _dense((FEATURES,), "features", (128, 64, 32))


def wide() -> Any:
    """Build a dense net of one wide layer for 30 features."""
    return _dense((FEATURES,), "features", (256,))


NETWORKS: dict[str, Callable[[], Any]] = {
    build.__name__: build for build in (sepconv, bndense, bnconv, densenet, narrow, deep, wide)
}


def _dense(shape: Sequence[int], name: str, units: Sequence[int], first: Sequence[Any] = ()) -> Any:
    import keras  # noqa: PLC0415 - heavy: in the child only
    from keras import layers  # noqa: PLC0415

    stack: list[Any] = [keras.Input(tuple(shape), name=name), *first]
    for size in units:
        stack += [layers.Dense(size, use_bias=False), layers.BatchNormalization(), layers.ReLU()]
    return keras.Sequential([*stack, layers.Dense(CLASSES, activation="softmax", name="scores")])


def _normalised_conv(x: Any, filters: int, size: int) -> Any:
    from keras import layers  # noqa: PLC0415 - heavy: in the child only

    x = layers.ReLU()(layers.BatchNormalization()(x))
    return layers.Conv2D(filters, size, padding="same", use_bias=False)(x)


def _unsettle(model: Any, seed: int) -> None:
    """Give every normalisation statistics as after training: with the first ones it would do nothing."""
    import numpy as np  # noqa: PLC0415 - heavy: in the child only
    from keras import layers  # noqa: PLC0415

    random = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            low_high = ((0.8, 1.2), (-0.2, 0.2), (-0.2, 0.2), (0.5, 1.5))  # gamma, beta, mean, variance
            size = layer.gamma.shape
            layer.set_weights([random.uniform(low, high, size).astype("float32") for low, high in low_high])


def _write(folder: Path, names: Sequence[str]) -> None:
    os.environ.update({"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"})
    import keras  # noqa: PLC0415 - heavy: in the child only

    for seed, name in enumerate(names):
        keras.utils.set_random_seed(seed)
        model = NETWORKS[name]()
        _unsettle(model, seed)
        model.save(folder / f"{name}.keras")
        print(f"{name}: {model.count_params()} parameters")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    _write(Path(sys.argv[1]), sys.argv[2:])
