"""Which format a model file has, told by its bytes and never by its name.

Few formats are taken, and two more if the operator says so (`OPTIONAL`). The others run code when they are
loaded, or need a framework to be served, so each is refused with what it is and how to save it instead.
"""

import mmap
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from ..errors import InvalidModelError

Format = Literal["keras", "onnx", "lightgbm", "xgboost-json", "xgboost-ubj", "h5", "saved_model"]

# Taken only where they are allowed -> the option that allows them.
OPTIONAL: Mapping[Format, str] = MappingProxyType({"h5": "--allow-h5", "saved_model": "--allow-saved-model"})
# What a SavedModel folder is told by.
SAVED_MODEL = "saved_model.pb"

KERAS_MEMBERS = frozenset({"config.json", "metadata.json", "model.weights.h5"})
_TO_KERAS = "load it where you trained it and save it with model.save('model.keras')"
_TO_ONNX = "export it to ONNX where you trained it (skl2onnx, onnxmltools, torch.onnx)"

# How a file starts -> what it is and the way out.
_STARTS = (
    (b"\x93NUMPY", "a numpy array, not a model"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"GGUF", f"a GGUF file; {_TO_ONNX}"),
    (b"PAR1", "a Parquet file, not a model"),
    (b"<?xml", f"an XML file, such as OpenVINO's or PMML; {_TO_ONNX}"),
    (b"{", f"a JSON file and no XGBoost model; {_TO_ONNX}"),
    # Protocols 2 to 5 start with their number; joblib's files do so too.
    *(
        (bytes([0x80, protocol]), f"a pickle, which runs code on loading; {_TO_ONNX}")
        for protocol in range(2, 6)
    ),
)
_HDF5 = b"\x89HDF\r\n\x1a\n"
_LIGHTGBM = b"tree\nversion=v"
# An object of UBJSON whose first key has seven letters.
_XGBOOST_UBJ = b"{L\0\0\0\0\0\0\0\x07learner"
_XGBOOST_JSON = re.compile(rb"\s*\{\s*\"learner\"\s*:")
_TFLITE = slice(4, 8)
_START_BYTES = 64

# The fields of ONNX's ModelProto, and the one that holds the graph.
_MODEL_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})
_GRAPH_FIELD = 7
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_VARINT = 10


def format_of(path: Path, allowed: frozenset[Format] = frozenset()) -> Format:
    """Return the format of the model at `path`; InvalidModelError says what it is if that isn't taken.

    Of the optional formats those in `allowed` are taken.
    """
    if path.is_dir():
        return _folder(path, allowed)
    try:
        with path.open("rb") as file:
            start = file.read(_START_BYTES)
    except OSError as error:
        raise InvalidModelError(f"{str(path)!r} can't be read: {error.strerror}; check the path") from error
    kind = _by_start(start)
    if kind is not None:
        return _asked_for(path, kind, "an HDF5 file, in which Keras checks least", allowed)
    if start.startswith(b"PK"):
        found = _zip(path)
        if found is None:
            return "keras"
    elif _is_onnx(path):
        return "onnx"
    else:
        found = _other(start)
    raise InvalidModelError(f"{str(path)!r} is {found}")


def _by_start(start: bytes) -> Format | None:
    """Tell LightGBM's, XGBoost's and HDF5 files; None for others."""
    if start.startswith(_HDF5):
        return "h5"
    if start.startswith(_LIGHTGBM):
        return "lightgbm"
    if start.startswith(_XGBOOST_UBJ):
        return "xgboost-ubj"
    return "xgboost-json" if _XGBOOST_JSON.match(start) else None


def _folder(path: Path, allowed: frozenset[Format]) -> Format:
    """Tell a SavedModel; InvalidModelError for any other folder, or unless it is allowed."""
    if not (path / SAVED_MODEL).exists():
        raise InvalidModelError(f"{str(path)!r} is a folder; name a .keras or .onnx file")
    return _asked_for(path, "saved_model", "a SavedModel folder, which can hold any operation", allowed)


def _asked_for(path: Path, kind: Format, what: str, allowed: frozenset[Format]) -> Format:
    """Return `kind`; InvalidModelError for an optional one that isn't allowed, naming what allows it."""
    if kind not in OPTIONAL or kind in allowed:
        return kind
    raise InvalidModelError(
        f"{str(path)!r} is {what}; {_TO_KERAS}, or allow it with {OPTIONAL[kind]} if you trust who made it"
    )


def _zip(path: Path) -> str | None:
    """Say what a zip archive is; None if it may be a `.keras` file."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        return f"a damaged zip archive ({error}); copy it again"
    if {"config.json", "metadata.json"} <= set(names):
        return None
    if names and all(name.endswith(".npy") for name in names):
        return "an NPZ file of arrays, not a model"
    if any(name.endswith("data.pkl") for name in names):
        return f"a PyTorch file, which runs code on loading; {_TO_ONNX}"
    return f"a zip archive that lacks {sorted(KERAS_MEMBERS - set(names))}, so not a .keras file; {_TO_KERAS}"


def _other(start: bytes) -> str:
    """Say what a file that is neither ONNX nor a zip archive is."""
    if not start:
        return "empty; copy it again"
    if start[_TFLITE] == b"TFL3":
        return f"a TensorFlow Lite file; {_TO_KERAS}"
    what = next((what for sign, what in _STARTS if start.startswith(sign)), None)
    return what or f"not a .keras or .onnx file: it starts with {start[:8]!r}; publish one of these"


def _is_onnx(path: Path) -> bool:
    """Whether the file is a protobuf message of ModelProto's fields, with a graph: ONNX has no magic."""
    if path.stat().st_size == 0:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at, found = 0, set()
        while at < len(data):
            try:
                tag, at = _varint(data, at)
                at = _after_value(data, at, tag & 7)
            except ValueError:
                return False
            found.add(tag >> 3)
        return at == len(data) and _GRAPH_FIELD in found and found <= _MODEL_FIELDS


def _after_value(data: mmap.mmap, at: int, kind: int) -> int:
    """Return where the value of wire type `kind` that starts at `at` ends; ValueError for one unknown."""
    if kind == _VARINT:
        return _varint(data, at)[1]
    if kind == _BYTES:
        length, at = _varint(data, at)
        return at + length
    if kind in _FIXED_SIZES:
        return at + _FIXED_SIZES[kind]
    raise ValueError(f"wire type {kind} is not used by ONNX")


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    """Read the number at `at`; return it and where it ends. ValueError if it doesn't."""
    value = 0
    for index, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:  # noqa: PLR2004 - the high bit says that more follow
            return value, at + index + 1
    raise ValueError(f"no number at byte {at}")
