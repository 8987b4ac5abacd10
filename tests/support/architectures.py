"""The networks that must load, untrained. Made in a process of their own: TensorFlow must not get into ours.

Run as a module with a folder as its argument, it writes them there.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
NAMES = ("bnconv", "bndense", "sepconv", "mobilenet", "layers")


def make(folder: Path) -> dict[str, Path]:
    """Write every network into `folder`; return their files."""
    words = [sys.executable, "-m", "tests.support.architectures", str(folder)]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        raise RuntimeError(f"the networks could not be made:\n{done.stderr}")
    return {name: folder / f"{name}.keras" for name in NAMES}


def _write(folder: Path) -> None:
    import keras  # noqa: PLC0415 - in the child only

    from training.architectures import catalogue  # noqa: PLC0415
    from training.architectures.task import Spread, Task  # noqa: PLC0415

    keras.utils.set_random_seed(1)
    task = Task({"image": (8, 8, 1)}, 10, value=False, spreads={"image": Spread((0.3,), (0.1,))})
    for name in ("bnconv", "bndense", "sepconv"):
        catalogue.build(name, task, {}).save(folder / f"{name}.keras")
    keras.applications.MobileNet(
        input_shape=(32, 32, 3), alpha=0.25, weights=None, classes=10, name="mobilenet"
    ).save(folder / "mobilenet.keras")
    _many_layers(keras).save(folder / "layers.keras")


def _many_layers(keras: Any) -> Any:
    """Layers of many kinds, a model inside the model, arithmetic between tensors."""
    layers = keras.layers
    words = keras.Input((6,), dtype="int32", name="words")
    picture = keras.Input((8, 8, 3), name="picture")
    x = layers.Embedding(20, 8)(words)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x))
    x = layers.Bidirectional(layers.LSTM(5, return_sequences=True))(x)
    x = layers.Conv1D(4, 3, activation="elu", kernel_regularizer="l2")(x)
    x = layers.GlobalMaxPooling1D()(x)
    inner = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Rescaling(1 / 255),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.GroupNormalization(3),
            layers.PReLU(),
            layers.Dropout(0.5),
            layers.Flatten(),
        ]
    )
    y = layers.TimeDistributed(layers.Dense(3, activation="silu"))(layers.Reshape((8, 24))(inner(picture)))
    joined = layers.Concatenate()([x * 2.0, layers.GlobalAveragePooling1D()(y)])
    scores = layers.Dense(3, activation="softmax", name="scores", kernel_constraint="non_neg")(joined)
    return keras.Model([words, picture], scores)


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
