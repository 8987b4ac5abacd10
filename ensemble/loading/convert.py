"""Keras', TensorFlow's, LightGBM's and XGBoost's files to ONNX, by these libraries, in a process of its own.

The child is confined (see `confine`), loads the model (Keras in safe mode), exports it, and writes down what
the library answers to sample rows. It returns plain values through files, so that nothing it was made to do
by a hostile model reaches this process, and TensorFlow never does. One child converts several models:
starting TensorFlow takes longest.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidModelError
from ..member import Member, Rows, row_count
from ..signature import Signature
from . import child
from .confine import Limits
from .exported import Exported, read_arrays, write_arrays
from .formats import Format, format_of
from .keras_file import check_keras_file
from .onnx_file import rename

TOLERANCE = 1e-5
START_SECS = 120.0
MODEL_SECS = 180.0
# TensorFlow takes half a gigabyte before it has a model; of that there are copies in Keras, in
# TensorFlow's variables, in its graph, in ONNX.
START_BYTES = 3 * 2**30
FILE_BYTES = 2**28
COPIES = 32
_LOG_CHARS = 1500
# What files are called in the child, by format: the libraries tell formats by the file's name.
_FILES: Mapping[Format, str] = {
    "keras": "model.keras",
    "h5": "model.h5",
    "saved_model": "model.zip",
    "lightgbm": "model.txt",
    "xgboost-json": "model.json",
    "xgboost-ubj": "model.ubj",
}
_KERAS_SUFFIXES = (".keras", ".h5", ".zip")
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
    files: Mapping[str, Path],
    work: Path,
    *,
    formats: Mapping[str, Format] | None = None,
    sample: Rows | None = None,
    timeout_secs: float | None = None,
) -> dict[str, Conversion]:
    """Convert the file of each member, writing under `work`; InvalidModelError names the member.

    `formats` are those of members whose file doesn't tell, as a packed SavedModel. The library answers
    made-up rows, and those of `sample` if there are any: real rows of all inputs.
    """
    place = work / "conversions"
    folders = {name: place / str(index) for index, name in enumerate(files)}
    for name, folder in folders.items():
        kind = (formats or {}).get(name) or format_of(files[name])
        if kind == "keras":
            check_keras_file(files[name])
        folder.mkdir(parents=True)
        shutil.copyfile(files[name], folder / _FILES[kind])
        if sample is not None:
            write_arrays(folder / "sample", sample)
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
    made = Exported.read(folder, result)
    renamed = folder / "renamed.onnx"
    rename(folder / "exported.onnx", made.signature, renamed)
    return Conversion(made.signature, renamed, made.made_by, made.rows, made.answers)


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
            made = _convert_one(Path(folder))
            made.write(Path(folder))
            result = made.to_json()
        except Exception as error:  # noqa: BLE001 - whatever a model does to Keras is the model's error
            result = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:_LOG_CHARS]}
        (Path(folder) / "result.json").write_text(json.dumps(result))


def _convert_one(folder: Path) -> Exported:
    """Have the library that knows the format load, export and ask the model in `folder`."""
    file, target = next(folder.glob("model.*")), folder / "exported.onnx"
    sample = read_arrays(folder / "sample") if (folder / "sample.json").exists() else {}
    return (_export_keras if file.suffix in _KERAS_SUFFIXES else _export_boosted)(file, target, sample)


def _export_keras(file: Path, target: Path, sample: Rows) -> Exported:
    """Do so with Keras."""
    try:
        from .keras_export import export  # noqa: PLC0415 - h5py takes long to import, and is an extra

        return export(file, target, sample)
    except ModuleNotFoundError as error:
        raise InvalidModelError(f"it takes {error.name}: pip install 'unisono[keras]'") from None


def _export_boosted(file: Path, target: Path, sample: Rows) -> Exported:
    """Do so with LightGBM or XGBoost."""
    from .boosted import FEATURES, convert_lightgbm, convert_xgboost  # noqa: PLC0415 - onnx takes long to import

    convert_one = convert_lightgbm if file.name == _FILES["lightgbm"] else convert_xgboost
    try:
        made = convert_one(file, target, sample.get(FEATURES))
    except ModuleNotFoundError as error:
        raise InvalidModelError(f"it takes {error.name}: pip install 'unisono[boosting]'") from None
    return Exported(
        made.signature,
        made.made_by,
        {made.signature.inputs[0].name: made.rows},
        {made.signature.outputs[0].name: made.answers},
    )
