"""The networks that must load, untrained. Made in a process of their own: TensorFlow must not get into ours.

Run as a module with a folder and names as its arguments, it writes them there. Where the folder has a
rows.npz, inputs by name, each network of `training` answers them in NAME.npz, outputs by name, and of
`SAVED_TWICE` there are an HDF5 file and a SavedModel folder, too.
"""

import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.architectures import catalogue
from training.architectures.task import Spread, Task
from training.predict import predict

REPOSITORY = Path(__file__).parents[2]
# keras.applications, random parameters: half a minute each.
APPLICATIONS = ("MobileNet", "Xception", "DenseNet121")
# Beside what `training` builds: a network of layers of many kinds.
LAYERS = "layers"
SAVED_TWICE = "bnconv"
_SIDES = {"MobileNet": 32, "Xception": 71, "DenseNet121": 32}


def make(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Write the networks of these names into `folder`; return their files."""
    names = tuple(names)
    words = [sys.executable, "-m", "tests.support.architectures", str(folder), *names]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        raise RuntimeError(f"the networks could not be made:\n{done.stderr}")
    return {name: folder / f"{name}.keras" for name in names}


def _write(folder: Path, names: Sequence[str]) -> None:
    import keras  # noqa: PLC0415 - in the child only

    keras.utils.set_random_seed(1)
    for name in names:
        network = _build(keras, name)
        network.save(folder / f"{name}.keras")
        if (folder / "rows.npz").exists() and name in catalogue.NAMES:
            _answer(folder, name, network)


def _answer(folder: Path, name: str, network: Any) -> None:
    """Write down what the network gives, and the formats that Keras had before."""
    with np.load(folder / "rows.npz", allow_pickle=False) as rows:
        np.savez(folder / f"{name}.npz", allow_pickle=False, **predict(network, dict(rows)))
    if name == SAVED_TWICE:
        network.save(folder / f"{name}.h5")
        network.export(folder / name, verbose=False)


def _build(keras: Any, name: str) -> Any:
    if name == LAYERS:
        return _many_layers(keras)
    if name in APPLICATIONS:
        small = {"alpha": 0.25} if name == "MobileNet" else {}
        shape = (_SIDES[name], _SIDES[name], 3)
        return getattr(keras.applications, name)(input_shape=shape, weights=None, classes=10, **small)
    spreads = {"image": Spread((0.3,), (0.1,)), "table": Spread((0.5, 1.0, 2.0), (1.0, 2.0, 3.0))}
    inputs = {"image": (8, 8, 1)} | ({"table": (3,)} if name == "two_inputs" else {})
    value = name == "two_outputs"
    task = Task(
        inputs,
        10,
        value=value,
        spreads={put: spreads[put] for put in inputs},
        value_spread=Spread((0.5,), (0.1,)) if value else None,
    )
    return catalogue.build(name, task, {})


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
            layers.ZeroPadding2D(((0, 1), (0, 1))),
            layers.DepthwiseConv2D(3, strides=2),
            layers.ReLU(6.0),
            layers.UpSampling2D(2),
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
