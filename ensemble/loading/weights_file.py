"""What the parameters of a `.keras` file may be, checked before Keras reads them. Runs in the child.

HDF5 can say that bytes lie in another file, or that a few bytes are a gigabyte; a description can ask for
parameters that the file doesn't hold. Keras checks some of it, from four gigabytes up.
"""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from ..errors import InvalidModelError
from .keras_file import MAX_RATIO

WEIGHTS = "model.weights.h5"
MAX_OBJECTS = 100_000
# Numbers of a layer's description that are a size of one of its parameters.
_SIZES = frozenset({"units", "filters", "input_dim", "output_dim", "num_heads", "key_dim", "value_dim"})
_NUMBERS = "biuf"
# h5py says in all of these that the library can't make sense of some part of the file.
UNREADABLE = (OSError, RuntimeError, ValueError, TypeError, KeyError, OverflowError)


def check_weights(path: Path) -> None:
    """Refuse parameters that lie elsewhere, unpack to far more than they are, or are not there."""
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo(WEIGHTS).file_size
        with archive.open(WEIGHTS) as file:
            try:
                with h5py.File(file, "r") as weights:
                    sizes = sizes_of(weights, size)
            except UNREADABLE as error:
                raise InvalidModelError(f"{WEIGHTS} is no HDF5 file: {error}; save the model again") from None
        config = json.loads(archive.read("config.json"))
    check_declared(config, sizes)


def check_declared(config: Any, sizes: set[int]) -> None:
    """Refuse a description that asks for parameters of other sizes than are there; InvalidModelError."""
    for kind, key, value in _declared(config):
        if value not in sizes:
            raise InvalidModelError(
                f"a {kind} layer is described with {key}={value}, and no parameter in {WEIGHTS} has that "
                "size: save the model again with its weights"
            )


def sizes_of(weights: Any, size: int) -> set[int]:
    """Return every size of every parameter; InvalidModelError for those that can't be taken."""
    sizes, declared = {1}, 0
    for name, dataset in _datasets(weights):
        if dataset.is_virtual or dataset.external:
            raise InvalidModelError(
                f"{WEIGHTS} says that the bytes of {name!r} lie in another file; save the model again"
            )
        if dataset.dtype.kind not in _NUMBERS:
            raise InvalidModelError(
                f"{WEIGHTS} holds {name!r} of {dataset.dtype}, not numbers; save it again"
            )
        declared += dataset.nbytes
        if declared > MAX_RATIO * size:
            raise InvalidModelError(
                f"{WEIGHTS} of {size} bytes unpacks to {declared} bytes or more; {MAX_RATIO} times "
                "is the most"
            )
        sizes.update(dataset.shape or ())
    return sizes


def _datasets(weights: Any) -> Iterator[tuple[str, Any]]:
    """Return every dataset with its name, each once, without following a link out of the file."""
    waiting, seen = [("", weights)], {weights.id}
    while waiting:
        above, group = waiting.pop()
        for key in group:
            name = f"{above}/{key}"
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise InvalidModelError(
                    f"{WEIGHTS} holds the link {name!r}, which no .keras file does; save the model again"
                )
            found = group[key]
            if found.id in seen:
                continue
            seen.add(found.id)
            if len(seen) > MAX_OBJECTS:
                raise InvalidModelError(f"{WEIGHTS} holds over {MAX_OBJECTS} objects; it isn't a model's")
            if isinstance(found, h5py.Group):
                waiting.append((name, found))
            elif isinstance(found, h5py.Dataset):
                yield name, found


def _declared(config: Any) -> Iterator[tuple[str, str, int]]:
    """Return what the description says of sizes: the layer's class, the name and the number."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
        waiting.extend(inner)
        if isinstance(value, dict) and isinstance(value.get("config"), dict):
            for key in sorted(_SIZES & set(value["config"])):
                if isinstance(value["config"][key], int):
                    yield str(value.get("class_name")), key, value["config"][key]
