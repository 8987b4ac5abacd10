"""Keras', LightGBM's and XGBoost's files to ONNX, by these libraries, in a process of its own.

The child is confined (see `confine`), loads the model (Keras in safe mode), exports it, and writes down what
the library answers to sample rows. It returns plain values through files, so that nothing it was made to do
by a hostile model reaches this process, and TensorFlow never does. One child converts several models:
starting TensorFlow takes longest.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidModelError
from ..member import Member, Rows, row_count
from ..runtimes.sample import random_rows
from ..signature import ANY_SIZE, Signature, TensorSpec
from . import child
from .confine import Limits
from .formats import format_of
from .keras_file import check_keras_file
from .onnx_file import rename
from .weights_file import check_weights

PARITY_ROWS = 64
TOLERANCE = 1e-5
START_SECS = 120.0
MODEL_SECS = 180.0
# TensorFlow takes half a gigabyte before it has a model; of that there are copies in Keras, in
# TensorFlow's variables, in its graph, in ONNX.
START_BYTES = 3 * 2**30
FILE_BYTES = 2**28
COPIES = 32
_LOG_CHARS = 1500
_KERAS_FILE = "model.keras"
# What files are called in the child, by format.
_FILES = {
    "keras": _KERAS_FILE,
    "lightgbm": "model.txt",
    "xgboost-json": "model.json",
    "xgboost-ubj": "model.ubj",
}
_ENVIRONMENT = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # The reference is computed as the member will be: on the CPU, without reordering sums.
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_ENABLE_ONEDNN_OPTS": "0",
}


@dataclass(frozen=True, slots=True)
class Conversion:
    """A converted model: its ONNX file with the library's names, and what that answers to `rows`, by output.

    `made_by` is the library and its version.
    """

    signature: Signature
    onnx: Path
    made_by: str
    rows: Rows
    answers: Mapping[str, NDArray[Any]]


def convert(
    files: Mapping[str, Path], work: Path, *, sample: Rows | None = None, timeout_secs: float | None = None
) -> dict[str, Conversion]:
    """Convert the file of each member, writing under `work`; InvalidModelError names the member.

    The library answers made-up rows, and those of `sample` if there are any: real rows of all inputs.
    """
    place = work / "conversions"
    folders = {name: place / str(index) for index, name in enumerate(files)}
    for name, folder in folders.items():
        file = _FILES[format_of(files[name])]
        if file == _KERAS_FILE:
            check_keras_file(files[name])
        folder.mkdir(parents=True)
        # The libraries tell formats by the file's name.
        shutil.copyfile(files[name], folder / file)
        if sample is not None:
            _write_arrays(folder / "sample", sample)
    if not folders:
        return {}
    log = place / "log"
    limits = _limits(files, timeout_secs)
    ended = child.run(_convert_all, ([str(folder) for folder in folders.values()], str(log)), place, limits)
    return {name: _result(name, folder, f"{ended}: {_tail(log)}") for name, folder in folders.items()}


def parity(conversion: Conversion, member: Member, tolerance: float = TOLERANCE) -> dict[str, Any]:
    """Return how far `member`, opened from the conversion, is from the library; InvalidModelError if too far.

    The error of a score is absolute for scores up to 1, as probabilities are, and relative above.
    """
    expected = conversion.answers[member.signature.outputs[0].name].astype(np.float64)
    found = member.predict(conversion.rows).astype(np.float64)
    if found.shape != expected.shape or not (np.isfinite(expected).all() and np.isfinite(found).all()):
        raise InvalidModelError(
            f"member {member.name!r} gives scores of shape {found.shape}, {conversion.made_by} "
            f"{expected.shape}, and not all are finite; train it again or leave it out"
        )
    error = float((np.abs(found - expected) / np.maximum(1, np.abs(expected))).max())
    if error > tolerance:
        raise InvalidModelError(
            f"member {member.name!r} changed in the conversion to ONNX: scores differ by {error:.3g} "
            f"from those of {conversion.made_by}, and {tolerance:.3g} may be; "
            "export it to ONNX yourself and publish that"
        )
    return {
        "rows": row_count(conversion.rows),
        "max_abs_error": error,
        "tolerance": tolerance,
        "against": conversion.made_by,
    }


def _limits(files: Mapping[str, Path], timeout_secs: float | None) -> Limits:
    """Return what converting `files` may take: TensorFlow itself, and the largest model many times over."""
    largest = max(path.stat().st_size for path in files.values())
    seconds = START_SECS + MODEL_SECS * len(files) if timeout_secs is None else timeout_secs
    return Limits(seconds, START_BYTES + COPIES * largest, FILE_BYTES + COPIES * largest)


def _result(name: str, folder: Path, otherwise: str) -> Conversion:
    """Read what the child wrote for one member; InvalidModelError with its reason, or with `otherwise`."""
    try:
        result = json.loads((folder / "result.json").read_text())
    except (OSError, ValueError):
        raise InvalidModelError(f"member {name!r} can't be converted to ONNX; {otherwise}") from None
    if "error" in result:
        raise InvalidModelError(f"member {name!r} can't be converted to ONNX: {result['error']}")
    signature = Signature.from_json(result["signature"])
    renamed = folder / "renamed.onnx"
    rename(folder / "exported.onnx", signature, renamed)
    rows, answers = _read_arrays(folder / "rows"), _read_arrays(folder / "answers")
    return Conversion(signature, renamed, str(result["made_by"]), rows, answers)


def _tail(log: Path) -> str:
    """Return the last of what the child printed, in one line."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return " ".join(text[-_LOG_CHARS:].split()) or "it printed nothing"


def _convert_all(folders: list[str], log: str) -> None:
    """Convert the model in each folder. Runs in the child, whose output goes to `log`."""
    with Path(log).open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.update(_ENVIRONMENT)
    for folder in folders:
        try:
            result = _convert_one(Path(folder))
        except Exception as error:  # noqa: BLE001 - whatever a model does to Keras is the model's error
            result = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:_LOG_CHARS]}
        (Path(folder) / "result.json").write_text(json.dumps(result))


def _convert_one(folder: Path) -> dict[str, Any]:
    """Load, export and ask one model; return its signature and the library's version."""
    return _convert_keras(folder) if (folder / _KERAS_FILE).exists() else _convert_boosted(folder)


def _convert_boosted(folder: Path) -> dict[str, Any]:
    """Do so with LightGBM or XGBoost."""
    from .boosted import FEATURES, convert_lightgbm, convert_xgboost  # noqa: PLC0415 - onnx takes long to import

    exported = folder / "exported.onnx"
    lightgbm = folder / _FILES["lightgbm"]
    given = _read_arrays(folder / "sample") if (folder / "sample.json").exists() else {}
    sample = given.get(FEATURES)
    try:
        if lightgbm.exists():
            made = convert_lightgbm(lightgbm, exported, sample)
        else:
            made = convert_xgboost(next(folder.glob("model.*")), exported, sample)
    except ModuleNotFoundError as error:
        raise InvalidModelError(f"it takes {error.name}: pip install 'unisono[boosting]'") from None
    _write_arrays(folder / "rows", {made.signature.inputs[0].name: made.rows})
    _write_arrays(folder / "answers", {made.signature.outputs[0].name: made.answers})
    return {"signature": made.signature.to_json(), "made_by": made.made_by}


def _convert_keras(folder: Path) -> dict[str, Any]:
    """Do so with Keras."""
    import keras  # noqa: PLC0415 - in the child only: it brings TensorFlow

    check_weights(folder / "model.keras")
    model = keras.models.load_model(folder / "model.keras", compile=False, safe_mode=True)
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
    rows = _rows(folder, signature)
    named = keras.tree.map_structure(lambda put: rows[put.name], model.input)
    answers = keras.tree.flatten(model(named, training=False))
    _write_arrays(folder / "rows", rows)
    _write_arrays(
        folder / "answers",
        {spec.name: np.asarray(put) for spec, put in zip(signature.outputs, answers, strict=True)},
    )
    model.export(str(folder / "exported.onnx"), format="onnx", verbose=False)
    return {"signature": signature.to_json(), "made_by": f"keras {keras.__version__}"}


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


def _rows(folder: Path, signature: Signature) -> Rows:
    """Return the rows to ask: made-up ones, then those of the sample, if there is one."""
    made = random_rows(signature, PARITY_ROWS)
    if not (folder / "sample.json").exists():
        return made
    sample = _read_arrays(folder / "sample")
    return {
        spec.name: np.concatenate([made[spec.name], sample[spec.name].astype(spec.dtype)])
        for spec in signature.inputs
    }


def _write_arrays(place: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays to `place`.npz and their names to `place`.json: a name can be no file name."""
    place.with_suffix(".json").write_text(json.dumps(list(arrays)))
    np.savez(place.with_suffix(".npz"), *arrays.values(), allow_pickle=False)


def _read_arrays(place: Path) -> dict[str, NDArray[Any]]:
    """Read what `_write_arrays` wrote."""
    names = json.loads(place.with_suffix(".json").read_text())
    with np.load(place.with_suffix(".npz"), allow_pickle=False) as arrays:
        return {name: arrays[f"arr_{index}"] for index, name in enumerate(names)}
