"""The networks that must load, untrained. Made in a process of their own: TensorFlow must not get into ours.

Run as a module with a folder and names as its arguments, it writes them there.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
NAMES = ("bnconv", "bndense", "sepconv", "mobilenet", "layers")
# Each takes half a minute or more to convert.
LARGE = ("xception", "densenet121")


def make(folder: Path, names: Sequence[str] = NAMES) -> dict[str, Path]:
    """Write the networks of these names into `folder`; return their files."""
    words = [sys.executable, "-m", "tests.support.architectures", str(folder), *names]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        raise RuntimeError(f"the networks could not be made:\n{done.stderr}")
    return {name: folder / f"{name}.keras" for name in names}


def _write(folder: Path, names: Sequence[str]) -> None:
    import keras  # noqa: PLC0415 - in the child only

    from training.architectures import catalogue  # noqa: PLC0415
    from training.architectures.task import Spread, Task  # noqa: PLC0415

    keras.utils.set_random_seed(1)
    task = Task({"image": (8, 8, 1)}, 10, value=False, spreads={"image": Spread((0.3,), (0.1,))})
    random = {"weights": None, "classes": 10}
    applications = keras.applications
    builds = {
        "bnconv": lambda: catalogue.build("bnconv", task, {}),
        "bndense": lambda: catalogue.build("bndense", task, {}),
        "sepconv": lambda: catalogue.build("sepconv", task, {}),
        "mobilenet": lambda: applications.MobileNet(input_shape=(32, 32, 3), alpha=0.25, **random),
        "xception": lambda: applications.Xception(input_shape=(71, 71, 3), **random),
        "densenet121": lambda: applications.DenseNet121(input_shape=(32, 32, 3), **random),
        "layers": lambda: _many_layers(keras),
    }
    for name in names:
        builds[name]().save(folder / f"{name}.keras")


def _many_layers(keras: Any) -> Any:
    """Layers of many kinds, a model inside the model, arithmetic between tensors."""
    layers = keras.layers
    words = keras.Input((6,), dtype="int32", name="words")
    picture = keras.Input((8, 8, 3), name="picture")
    x = layers.Embedding(20, 8)(words)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x))
    x = layers.Bidirectional(layers.LSTM(5, return_sequences=True))(x)
    x = layers.Conv1D(4, 3, activation="elu", kernel_regularizer="l2")(x)
    x = layers.Conv1D(4, 1, activation="gelu")(x)
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
    _write(Path(sys.argv[1]), sys.argv[2:])
