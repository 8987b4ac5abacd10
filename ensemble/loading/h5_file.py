"""What a whole model in an HDF5 file may be, checked before Keras reads it. Runs in the child.

Keras' older format: the description is an attribute, and it says less of where each class comes from.
"""

import json
from pathlib import Path

import h5py

from ..errors import InvalidModelError
from .keras_allowed import allowed_in_h5
from .keras_file import MAX_JSON_BYTES, check_description
from .weights_file import UNREADABLE, check_declared, sizes_of

_DESCRIPTION = "model_config"


def check_h5_file(path: Path) -> None:
    """Refuse an HDF5 file that holds more than layers of Keras and their parameters; InvalidModelError."""
    try:
        with h5py.File(path, "r") as file:
            sizes = sizes_of(file, path.stat().st_size)
            text = file.attrs.get(_DESCRIPTION)
    except UNREADABLE as error:
        raise InvalidModelError(f"it is a damaged HDF5 file ({error}); copy it again") from None
    if not isinstance(text, str | bytes) or len(text) > MAX_JSON_BYTES:
        raise InvalidModelError(
            f"it is an HDF5 file without a model in it: {_DESCRIPTION!r} is missing, or no text of up to "
            f"{MAX_JSON_BYTES} bytes; save the model with model.save"
        )
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidModelError(f"its {_DESCRIPTION!r} is no JSON: {error}; save the model again") from None
    check_description(path, config, allowed_in_h5)
    check_declared(config, sizes)
