"""Which model a TensorFlow Serving client means: a name, and a version, a label or neither."""

from collections.abc import Callable, Mapping
from typing import Any

from ensemble.errors import InvalidRequestError, ModelNotFoundError, UnavailableError

from .serving import MAX_VERSION_DIGITS, ModelInfo, Models

# Gives label -> version of a model.
LabelsOf = Callable[[str], Mapping[str, int]]


def wanted_version(spec: Any, labels: LabelsOf) -> int | None:
    """Read the version a ModelSpec asks for; None means the current one.

    A label that is a number means that version: no label of ours is one, and some clients send versions so.
    """
    choice = spec.WhichOneof("version_choice")
    if choice == "version":
        return int(spec.version.value)
    if choice is None:
        return None
    label, known = spec.version_label, labels(spec.name)
    if label in known:
        return known[label]
    if label.isascii() and label.isdecimal() and len(label) <= MAX_VERSION_DIGITS:
        return int(label)
    raise InvalidRequestError(f"Unrecognized servable version label: {label}")


def check_spec(request: Any) -> Any:
    """Return the request's ModelSpec; InvalidRequestError if it names no model."""
    if not request.HasField("model_spec"):
        raise InvalidRequestError("Missing ModelSpec")
    if not request.model_spec.name:
        raise InvalidRequestError("ModelSpec has no name specified.")
    return request.model_spec


def find(models: Models, request: Any, labels: LabelsOf) -> ModelInfo:
    """Describe the model and version that the request is for.

    Raises InvalidRequestError, and ModelNotFoundError for what isn't served, or not yet.
    """
    spec = check_spec(request)
    version = wanted_version(spec, labels)
    try:
        return models.find(spec.name, "" if version is None else str(version))
    except (InvalidRequestError, ModelNotFoundError, UnavailableError) as error:
        wanted = f"Latest({spec.name})" if version is None else f"Specific({spec.name}, {version})"
        raise ModelNotFoundError(f"Servable not found for request: {wanted}") from error
