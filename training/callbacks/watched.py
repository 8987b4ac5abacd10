"""What TensorBoard is shown beside Keras' own callback: what layers give, and which rows lie together."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.data.parts import Part

from .shuffled_rows import one_or_all

ROWS = 256  # held-out rows that are looked at
SPRITE_PIXELS = 28
_DARK = 255


class ActivationHistograms(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Writes, each epoch, a histogram of what each layer with parameters gives for held-out rows.

    A layer whose values are all 0 or all alike has died; one whose values grow will blow up.
    """

    def __init__(self, folder: Path, part: Part) -> None:
        super().__init__()
        self._folder = folder
        self._rows = _first_rows(part)
        self._layers: list[Any] = []
        self._probe: Any = None
        self._writer: Any = None

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras' signature
        """Build the network that gives every layer's output."""
        self._layers = [layer for layer in self.model.layers if layer.weights]
        self._probe = keras.Model(self.model.input, [layer.output for layer in self._layers])
        self._writer = tf.summary.create_file_writer(str(self._folder))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras' signature
        """Keras calls this with the parameters of the epoch's end."""
        given = self._probe(self._rows, training=False)
        with self._writer.as_default(step=epoch):
            for layer, values in zip(self._layers, given if len(self._layers) > 1 else [given], strict=True):
                tf.summary.histogram(f"{layer.name}/activations", tf.cast(values, tf.float32))
        self._writer.flush()

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras' signature
        """Close the file."""
        self._writer.close()


class NetworkGraph(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Writes the network's operations when training begins, as TensorBoard draws them.

    Keras' own callback writes its layers alone, which the graph's page shows as "conceptual graph".
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras' signature
        """Trace one call of the network."""
        specs = [tf.TensorSpec(put.shape, put.dtype, name=put.name) for put in self.model.inputs]
        traced = tf.function(lambda *inputs: self.model(one_or_all(list(inputs)), training=False))
        writer = tf.summary.create_file_writer(str(self._folder))
        with writer.as_default(step=0):
            tf.summary.graph(traced.get_concrete_function(*specs).graph)
        writer.close()


class Projector(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Writes, when training ends, the last hidden layer's view of held-out rows for the embedding projector.

    Each row is a point, with its class and, where there is an image, its picture. `folder` must hold a run's
    events, or TensorBoard won't look there.
    """

    def __init__(self, folder: Path, part: Part, classes: Sequence[str]) -> None:
        super().__init__()
        self._folder = folder
        self._part = part.take(np.arange(min(ROWS, part.rows)))
        self._classes = classes

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras' signature
        """Keras calls this once."""
        self._folder.mkdir(parents=True, exist_ok=True)
        last_hidden = self.model.outputs[0]._keras_history.operation.input  # noqa: SLF001 - no public way
        view = keras.Model(self.model.input, last_hidden)
        points = np.asarray(view(_first_rows(self._part), training=False)).reshape(self._part.rows, -1)
        np.savetxt(self._folder / "points.tsv", points, fmt="%.6g", delimiter="\t")
        config = ["embeddings {", '  tensor_name: "last hidden layer"', '  tensor_path: "points.tsv"']
        if self._part.label is not None:
            names = [self._classes[index] for index in self._part.label]
            (self._folder / "classes.tsv").write_text("\n".join(names) + "\n", encoding="utf-8")
            config.append('  metadata_path: "classes.tsv"')
        image = next((array for array in self._part.inputs.values() if array.ndim == 4), None)  # noqa: PLR2004 - an image
        if image is not None:
            _write_sprite(self._folder / "sprite.png", image)
            size = f"    single_image_dim: {SPRITE_PIXELS}"
            config += ["  sprite {", '    image_path: "sprite.png"', size, size, "  }"]
        (self._folder / "projector_config.pbtxt").write_text("\n".join([*config, "}", ""]), encoding="utf-8")


def _first_rows(part: Part) -> Any:
    taken = part.take(np.arange(min(ROWS, part.rows)))
    return one_or_all(list(taken.inputs.values()))


def _write_sprite(path: Path, images: NDArray[np.float32]) -> None:
    """Write the images, dark on white, as one square picture, row by row: as the projector wants them."""
    side = int(np.ceil(np.sqrt(len(images))))
    small = tf.image.resize(images[..., :1], (SPRITE_PIXELS, SPRITE_PIXELS)).numpy()[..., 0]
    scaled = (small - small.min()) / max(float(np.ptp(small)), 1e-9)
    sheet = np.full((side * SPRITE_PIXELS, side * SPRITE_PIXELS, 1), _DARK, np.uint8)
    for index, image in enumerate(scaled):
        top, left = (part * SPRITE_PIXELS for part in divmod(index, side))
        sheet[top : top + SPRITE_PIXELS, left : left + SPRITE_PIXELS, 0] = _DARK - image * _DARK
    path.write_bytes(tf.io.encode_png(sheet).numpy())
