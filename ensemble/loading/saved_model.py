"""SavedModel folders: packed into one file to be published, and checked in the child before they are loaded.

A SavedModel is a program of TensorFlow's operations. Those that are allowed (`saved_model_allowed`) compute.
"""

import os
import re
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import InvalidModelError
from .formats import SAVED_MODEL
from .keras_file import MAX_BYTES
from .saved_model_allowed import OPERATIONS

_NAMES = re.compile(
    rf"{re.escape(SAVED_MODEL)}|fingerprint\.pb|keras_metadata\.pb"
    r"|variables/variables\.(index|data-\d{5}-of-\d{5})"
)
_WAY_OUT = "export it again, without vocabularies and other files beside it"
SERVING = "serving_default"


def pack(folder: Path, target: Path) -> None:
    """Write the files of a SavedModel to one archive, the same bytes for the same files; InvalidModelError.

    OSError if something can't be read.
    """
    total = 0
    with zipfile.ZipFile(target, "w") as archive:
        for above, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                path = Path(above) / name
                inside = path.relative_to(folder).as_posix()
                facts = path.lstat()
                if not stat.S_ISREG(facts.st_mode) or not _NAMES.fullmatch(inside):
                    raise InvalidModelError(
                        f"{str(folder)!r} holds {inside!r}, which isn't read from a SavedModel; {_WAY_OUT}"
                    )
                total += facts.st_size
                if total > MAX_BYTES:
                    raise InvalidModelError(
                        f"{str(folder)!r} has over {MAX_BYTES} bytes, the most there may be"
                    )
                # Without its time, which would give the same model another digest.
                archive.writestr(zipfile.ZipInfo(inside), path.read_bytes())


def unpack(archive: Path, folder: Path) -> None:
    """Write what `pack` packed below `folder`; InvalidModelError for any other archive."""
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            if not _NAMES.fullmatch(member.filename) or member.compress_type != zipfile.ZIP_STORED:
                raise InvalidModelError(f"it holds {member.filename!r}, which no SavedModel packed here does")
        packed.extractall(folder)


def check_graph(graph: Any) -> None:
    """Refuse the protobuf of a SavedModel that has other operations, or other files, than are allowed."""
    found = set()
    for meta in graph.meta_graphs:
        if meta.asset_file_def:
            raise InvalidModelError(f"it reads the file {meta.asset_file_def[0].filename!r}; {_WAY_OUT}")
        found |= {node.op for node in meta.graph_def.node}
        # A function of the file's own may have an operation's name, so calls by name aren't taken.
        found |= {node.op for function in meta.graph_def.library.function for node in function.node_def}
    foreign = sorted(found - OPERATIONS)
    if foreign:
        raise InvalidModelError(
            f"it has the operations {foreign[:10]}, which aren't known to be harmless: "
            "export it to ONNX where you trained it"
        )


def as_keras(keras: Any, folder: Path) -> tuple[Any, str]:
    """Check the SavedModel in `folder`; return a Keras model that asks it, and who runs it."""
    import tensorflow as tf  # noqa: PLC0415 - in the child only
    from tensorflow.core.protobuf import saved_model_pb2  # noqa: PLC0415

    check_graph(saved_model_pb2.SavedModel.FromString((folder / SAVED_MODEL).read_bytes()))
    loaded = tf.saved_model.load(str(folder))
    if SERVING not in loaded.signatures:
        raise InvalidModelError(
            f"it has the signatures {sorted(loaded.signatures)} and no {SERVING!r}; export it with one"
        )
    serving = loaded.signatures[SERVING]
    puts = {
        name: keras.Input(batch_shape=tuple(spec.shape), dtype=spec.dtype.name, name=name)
        for name, spec in sorted(serving.structured_input_signature[1].items())
    }
    fixed = [name for name, put in puts.items() if not put.shape or put.shape[0] is not None]
    if fixed:
        raise InvalidModelError(f"its inputs {fixed} have no free first axis, for any number of rows")
    # A layer of our own making; nothing of it is saved.
    layer = keras.layers.Lambda(_frozen(serving), name="saved_model")
    return keras.Model(puts, layer(puts)), f"tensorflow {tf.__version__}"


def _frozen(serving: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the signature as a function, by name, of which all that was kept is a constant part.

    What is no variable, as a Normalization layer's numbers, the exporter would take for inputs of the model.
    """
    from tensorflow.python.framework.convert_to_constants import (  # noqa: PLC0415 - in the child only
        convert_variables_to_constants_v2,
    )

    # TensorFlow flattens what is named in the order of the names.
    inputs, outputs = sorted(serving.structured_input_signature[1]), sorted(serving.structured_outputs)
    frozen = convert_variables_to_constants_v2(serving, lower_control_flow=False)
    return lambda given: dict(zip(outputs, frozen(*(given[name] for name in inputs)), strict=True))
