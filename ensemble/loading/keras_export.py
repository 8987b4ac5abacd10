"""Keras' and TensorFlow's files to ONNX, by Keras. Runs in the confined child."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidModelError
from ..member import Rows
from ..runtimes.sample import random_rows
from ..signature import ANY_SIZE, Signature, TensorSpec
from . import saved_model
from .exported import Exported
from .h5_file import check_h5_file
from .weights_file import check_weights

PARITY_ROWS = 64


def export(file: Path, target: Path, sample: Rows) -> Exported:
    """Check and load a `.keras` or `.h5` file or a packed SavedModel (`.zip`), and write ONNX to `target`.

    The model answers made-up rows, and those of `sample`, which has all inputs or none.
    """
    checked = _checked(file)
    import keras  # noqa: PLC0415 - in the child only, and not for files that are refused: it brings TensorFlow

    model, made_by = _loaded(keras, checked)
    if not getattr(model, "inputs", None):
        raise InvalidModelError(
            "it has no fixed inputs; build it with the functional API or keras.Sequential"
        )
    if isinstance(model, keras.Sequential):
        # The same layers, with the names of their outputs.
        model = keras.Model(model.inputs, model.outputs)
    signature = Signature(
        tuple(_spec(put.name, put) for put in model.inputs),
        tuple(_spec(name, put) for name, put in _outputs(keras, model)),
    )
    # Called by the exporter without `training`, a model with a Resizing layer runs its BatchNorm layers in
    # training mode: the first layer's default becomes everybody's.
    call = model.call
    model.call = lambda *args, **kwargs: call(*args, **(kwargs | {"training": False}))
    make_constants(keras, model)
    rows = _rows(sample, signature)
    named = keras.tree.map_structure(lambda put: rows[put.name], model.input)
    answers = keras.tree.flatten(model(named, training=False))
    model.export(str(target), format="onnx", verbose=False)
    named_answers = {spec.name: np.asarray(put) for spec, put in zip(signature.outputs, answers, strict=True)}
    return Exported(signature, made_by, rows, named_answers)


def _checked(file: Path) -> Path:
    """Check `file` as far as that goes without Keras; return what to load, of a SavedModel its folder."""
    if file.suffix == ".zip":
        folder = file.with_suffix("")
        saved_model.unpack(file, folder)
        return folder
    check = check_h5_file if file.suffix == ".h5" else check_weights
    check(file)
    return file


def _loaded(keras: Any, checked: Path) -> tuple[Any, str]:
    """Load a file or a folder; return a model of Keras, and what its answers come from."""
    if checked.is_dir():
        return saved_model.as_keras(keras, checked)
    return keras.models.load_model(checked, compile=False, safe_mode=True), f"keras {keras.__version__}"


def make_constants(keras: Any, model: Any) -> None:
    """Turn what Normalization layers subtract and divide by into plain arrays.

    As TensorFlow's tensors, which are no variables, the exporter takes them for inputs of the model.
    """
    for layer in model._flatten_layers():  # noqa: SLF001 - there's no public way into models within models
        if isinstance(layer, keras.layers.Normalization):
            layer.mean, layer.variance = np.asarray(layer.mean), np.asarray(layer.variance)


def _outputs(keras: Any, model: Any) -> Iterator[tuple[str, Any]]:
    """Return the outputs with their names, in Keras' order: the keys of a dict, else the layers' names."""
    outputs = keras.tree.flatten(model.output)
    if isinstance(model.output, dict):
        names = sorted(model.output)
        outputs = [model.output[name] for name in names]
    else:
        names = list(model.output_names)
    return zip(names, outputs, strict=True)


def _spec(name: str, tensor: Any) -> TensorSpec:
    """Describe one of Keras' tensors; its first axis is the rows."""
    shape = tuple(ANY_SIZE if size is None else int(size) for size in tensor.shape[1:])
    return TensorSpec(str(name), str(tensor.dtype), shape)


def _rows(sample: Rows, signature: Signature) -> Rows:
    """Return the rows to ask: made-up ones, then those of the sample, if there is one."""
    made = random_rows(signature, PARITY_ROWS)
    if not sample:
        return made
    return {
        spec.name: np.concatenate([made[spec.name], sample[spec.name].astype(spec.dtype)])
        for spec in signature.inputs
    }
