"""Awkward `.keras` models, made in a process of their own: TensorFlow must not get into the tests'.

Run as a module with a folder as its argument, it writes the models there.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]


def make(folder: Path) -> None:
    """Write into `folder`: two_inputs, two_outputs, resized (BatchNorm after Resizing), broken (NaN).

    They are `.keras` files; of the first there are an HDF5 file and a SavedModel folder, too. The
    SavedModel `reader` reads a file as it is asked.
    """
    child = [sys.executable, "-m", "tests.support.keras_models", str(folder)]
    done = subprocess.run(child, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        raise RuntimeError(f"the models could not be made:\n{done.stderr}")


def _write(folder: Path) -> None:
    import keras  # noqa: PLC0415 - in the child only
    from keras import layers  # noqa: PLC0415

    keras.utils.set_random_seed(1)
    picture, age = keras.Input((8, 8, 1), name="picture"), keras.Input((3,), name="age")
    joined = layers.Concatenate()([layers.Flatten()(picture), layers.Dense(4)(age)])
    scores = layers.Dense(3, activation="softmax", name="digit")(joined)
    two_inputs = keras.Model([picture, age], scores)
    two_inputs.save(folder / "two_inputs.keras")
    two_inputs.save(folder / "two_inputs.h5")
    two_inputs.export(folder / "two_inputs", verbose=False)
    _write_reader(folder / "reader")
    outputs = {"scores": scores, "logits": layers.Dense(3, name="raw")(joined)}
    keras.Model({"picture": picture, "age": age}, outputs).save(folder / "two_outputs.keras")

    image = keras.Input((8, 8, 1), name="image")
    grown = layers.Conv2D(4, 3)(layers.Resizing(16, 16)(image))
    pooled = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.BatchNormalization()(grown)))
    keras.Model(image, layers.Dense(3, activation="softmax", name="digit")(pooled)).save(
        folder / "resized.keras"
    )

    broken = keras.Sequential([keras.Input((4,), name="x"), layers.Dense(3, name="digit")])
    broken.set_weights([parameter * float("nan") for parameter in broken.get_weights()])
    broken.save(folder / "broken.keras")


def _write_reader(folder: Path) -> None:
    import tensorflow as tf  # noqa: PLC0415 - in the child only

    module = tf.Module()

    def ask(x: Any) -> dict[str, Any]:
        length = tf.strings.length(tf.io.read_file("/etc/passwd"))
        return {"scores": x + tf.cast(length, tf.float32)}

    serving = tf.function(ask, input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
    tf.saved_model.save(module, folder, signatures={"serving_default": serving})


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
