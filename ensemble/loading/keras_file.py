"""What a `.keras` file may hold, checked without Keras, before Keras sees it.

A `.keras` file is a zip archive of a description (`config.json`) and parameters (`model.weights.h5`). Keras
checks much when it loads one; this file refuses what has got past it before: archives that unpack to
far more than they are, names outside the archive, layers that hold code or load other files.
"""

import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..errors import InvalidModelError
from . import keras_allowed
from .formats import KERAS_MEMBERS

MAX_JSON_BYTES = 16 * 2**20
MAX_BYTES = 4 * 2**30
# How many times larger than its place in the archive a file may be: JSON shrinks by ten or so.
MAX_RATIO = 100
# A model inside a model inside a model is some twenty levels.
MAX_DEPTH = 200
# Layers that run code of the file's own, or load another model.
REFUSED_CLASSES = frozenset({"Lambda", "TFSMLayer", "TorchModuleWrapper", "__lambda__"})
# Where the classes of a file may come from. Custom code would have to be imported, which is running it.
ALLOWED_PACKAGES = frozenset({"keras", "builtins"})
# Whether a file may name something: the module, which may be None, and the name.
Allowed = Callable[[object, object], bool]
_ASSETS = "assets/"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


def check_keras_file(path: Path) -> None:
    """Refuse a `.keras` file that holds more than layers of Keras and their parameters; InvalidModelError."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive.infolist(), path.stat().st_size)
            config = _json(path, archive, "config.json")
            _json(path, archive, "metadata.json")
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InvalidModelError(f"{str(path)!r} is a damaged .keras file ({error}); copy it again") from error
    # How it was trained is not needed for serving, and not loaded.
    config.pop("compile_config", None)
    check_description(path, config)


def check_description(path: Path, config: Any, allowed: Allowed = keras_allowed.allowed) -> None:
    """Refuse a model's description that names more than `allowed` says; `path` is for InvalidModelError."""
    for described in _objects(path, config):
        _check_object(path, described, allowed)


def _check_members(path: Path, members: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse names and sizes that no `.keras` file has."""
    names = [member.filename for member in members]
    missing = KERAS_MEMBERS - set(names)
    if missing or len(set(names)) != len(names):
        raise InvalidModelError(
            f"{str(path)!r} is not a .keras file: it holds {sorted(names)[:10]}; "
            f"{sorted(KERAS_MEMBERS)} must be there once each: save the model again with model.save"
        )
    for member in members:
        _check_member(path, member)
        # What is read is made room for first.
        if member.compress_size > size:
            raise InvalidModelError(
                f"{str(path)!r} has {size} bytes and says that {member.filename!r} takes "
                f"{member.compress_size} of them; copy it again"
            )
    total = sum(member.file_size for member in members)
    # The parts may overlap, so that each alone looks like its place.
    most = min(MAX_BYTES, MAX_RATIO * size)
    if total > most:
        raise InvalidModelError(f"{str(path)!r} unpacks to {total} bytes; {most} may be")


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    """Refuse one file of the archive that has no business there, or is not what it seems."""
    name, place = member.filename, f"{str(path)!r} holds {member.filename!r}"
    outside = name.startswith("/") or "\\" in name or ".." in name.split("/")
    if outside or (name not in KERAS_MEMBERS and not name.startswith(_ASSETS)):
        raise InvalidModelError(f"{place}, which no .keras file does; save the model again with model.save")
    if member.flag_bits & _ENCRYPTED or member.compress_type not in _METHODS:
        raise InvalidModelError(
            f"{place} encrypted or packed in a rare way; save the model again with model.save"
        )
    if member.file_size > MAX_RATIO * max(member.compress_size, 1):
        raise InvalidModelError(
            f"{place}, which unpacks to {member.file_size} bytes from {member.compress_size}; "
            f"{MAX_RATIO} times is the most: it may be a zip bomb"
        )


def _json(path: Path, archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    """Read one JSON object of the archive."""
    size = archive.getinfo(name).file_size
    if size > MAX_JSON_BYTES:
        raise InvalidModelError(f"{str(path)!r} holds {name} of {size} bytes; {MAX_JSON_BYTES} may be")
    try:
        value = json.loads(archive.read(name))
    except (ValueError, RecursionError, EOFError, NotImplementedError, zlib.error) as error:
        raise InvalidModelError(
            f"{str(path)!r} holds a {name} that is no JSON: {error}; save it again"
        ) from error
    if not isinstance(value, dict):
        raise InvalidModelError(f"{str(path)!r} holds a {name} that is no JSON object; save it again")
    return value


def _objects(path: Path, config: Any) -> Iterator[dict[str, Any]]:
    """Return every JSON object in `config`, without recursion: its depth is the file's choice."""
    waiting = [(config, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise InvalidModelError(
                f"{str(path)!r} is described by objects nested over {MAX_DEPTH} deep, which no model is; "
                "save it again"
            )
        if isinstance(value, dict):
            yield value
            waiting.extend((inner, depth + 1) for inner in value.values())
        elif isinstance(value, list):
            waiting.extend((inner, depth + 1) for inner in value)


def _check_object(path: Path, described: dict[str, Any], allowed: Allowed) -> None:
    """Refuse a layer, or any other object, that is not Keras' own or holds code."""
    kind, module = described.get("class_name"), described.get("module")
    if isinstance(kind, str) and kind in REFUSED_CLASSES:
        raise InvalidModelError(
            f"{str(path)!r} holds a {kind} layer, which runs code that can't be checked; "
            "replace it by layers of Keras and save the model again"
        )
    if isinstance(module, str) and module.split(".")[0] not in ALLOWED_PACKAGES:
        raise InvalidModelError(
            f"{str(path)!r} needs {kind!r} of the package {module!r}; only layers of Keras are loaded: "
            "publish the model as ONNX instead"
        )
    if "class_name" in described:
        _check_named(path, described, allowed)


def _check_named(path: Path, described: dict[str, Any], allowed: Allowed) -> None:
    """Refuse a class or function that isn't on the list of those that are allowed."""
    kind, registered = described["class_name"], described.get("registered_name")
    name = described.get("config") if kind == keras_allowed.FUNCTION else kind
    # Where something is registered under that name, Keras would take it in place of its own.
    if registered not in (None, name) or not allowed(described.get("module"), name):
        raise InvalidModelError(
            f"{str(path)!r} names {name!r:.80} of {described.get('module')!r:.80} (registered as "
            f"{registered!r:.80}), which is none of the layers, operations and functions that are loaded: "
            "publish the model as ONNX instead"
        )
