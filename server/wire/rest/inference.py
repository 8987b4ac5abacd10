"""Requests for inference as HTTP has them <-> the same messages that gRPC has.

Tensors come as JSON, or after it as they are (`binary_data_size`); both end up raw in a ModelInferRequest,
which `oip_codec` checks as it checks gRPC's. Here only the JSON itself is checked.
"""

from collections.abc import Mapping
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from ensemble.errors import InvalidRequestError
from server.wire import tensors
from server.wire.messages import message_class
from server.wire.oip_codec import Subject, no_data
from server.wire.outcome import MessageTooLargeError

from .plain import UNREADABLE, is_whole, parameters_of, parse, set_parameters, take
from .resource import Asked, Reply, Write

# How many bytes of the body are JSON; without the header all are.
JSON_LENGTH = "inference-header-content-length"
BINARY_SIZE, BINARY, BINARY_ALL = "binary_data_size", "binary_data", "binary_data_output"
SHARED_MEMORY = "shared_memory_region"
BINARY_MEDIA_TYPE = "application/octet-stream"
MOST_DIGITS = 18
# So many values are converted at once: nobody else runs meanwhile.
PIECE = 2**16
BY_DATATYPE = {wire.datatype: wire for wire in tensors.WIRE_TYPES}


class Binary:
    """The part of a body after its JSON, taken from the front."""

    def __init__(self, data: memoryview) -> None:
        self._left = data

    def take(self, size: int) -> bytes:
        """Give the next `size` bytes; ValueError if there are fewer."""
        if not 0 <= size <= len(self._left):
            raise ValueError(f"{BINARY_SIZE} is {size}, but {len(self._left)} bytes are left")
        taken, self._left = self._left[:size], self._left[size:]
        return bytes(taken)

    def check_empty(self) -> None:
        """Refuse bytes that no input has claimed; ValueError."""
        if self._left:
            raise ValueError(f"{len(self._left)} bytes of the body belong to no input")


def read_inference(asked: Asked) -> tuple[Any, Write]:
    """Read a request, and say how its answer is to be written.

    Raises InvalidRequestError and MessageTooLargeError.
    """
    document, data = split(asked)
    request = message_class("inference.ModelInferRequest")(
        model_name=asked.path["model"],
        model_version=asked.path.get("version", ""),
        id=take(document, "id", ""),
    )
    subject, binary = Subject(request.id, request.model_name), Binary(data)
    for described in _objects(document, "inputs"):
        _add_input(request, described, binary, subject)
    try:
        binary.check_empty()
    except ValueError as error:
        raise subject.refuse(
            f"unexpected additional input data for model '{subject.model}': {error}"
        ) from error
    parameters = dict(take(document, "parameters", dict[str, Any]()))
    binary_all = take({BINARY_ALL: parameters.pop(BINARY_ALL, False)}, BINARY_ALL, False)
    set_parameters(request.parameters, parameters)
    wanted = {}
    for described in _objects(document, "outputs"):
        output = request.outputs.add(name=take(described, "name", "", where="an output"))
        parameters = dict(take(described, "parameters", dict[str, Any](), where="an output"))
        wanted[output.name] = take({BINARY: parameters.pop(BINARY, binary_all)}, BINARY, False)
        set_parameters(output.parameters, parameters)
    return request, partial(write_inference, binary=wanted, binary_all=binary_all)


def write_inference(response: Any, *, binary: Mapping[str, bool], binary_all: bool) -> Reply:
    """Write an answer: JSON, and after it those outputs that are wanted as they are."""
    outputs, after = [], []
    for tensor, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        described = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        parameters = parameters_of(tensor.parameters)
        if binary.get(tensor.name, binary_all):
            parameters[BINARY_SIZE] = len(raw)
            after.append(raw)
        else:
            described["data"] = values_of(raw, tensor)
        outputs.append(described | ({"parameters": parameters} if parameters else {}))
    document = {"id": response.id} if response.id else {}
    document |= {
        "model_name": response.model_name,
        "model_version": response.model_version,
        "parameters": parameters_of(response.parameters),
        "outputs": outputs,
    }
    header = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    if not after:
        return Reply(header)
    return Reply(b"".join([header, *after]), {JSON_LENGTH: str(len(header))}, BINARY_MEDIA_TYPE)


def json_bytes(asked: Asked) -> int:
    """Say how long a body's JSON is, by its header: what that says is checked when it is read."""
    told = asked.headers.get(JSON_LENGTH, "")
    whole = len(asked.body)
    return min(int(told), whole) if told.isascii() and told.isdecimal() and len(told) < MOST_DIGITS else whole


def split(asked: Asked) -> tuple[dict[str, Any], memoryview]:
    """Part a body into its JSON, read, and what follows it."""
    length = asked.headers.get(JSON_LENGTH, str(len(asked.body)))
    digits = length.isascii() and length.isdecimal() and len(length) <= len(str(len(asked.body)))
    if not digits or int(length) > len(asked.body):
        raise InvalidRequestError(
            f"header {JSON_LENGTH} is '{length}', but must be 0 to the body's {len(asked.body)} bytes"
        )
    return checked(asked.body[: int(length)], asked), memoryview(asked.body)[int(length) :]


def checked(data: bytes, asked: Asked) -> dict[str, Any]:
    """Read JSON that isn't too long to be read: what it says takes many times its bytes."""
    if len(data) > asked.max_json_bytes:
        raise MessageTooLargeError("JSON", len(data), asked.max_json_bytes)
    return parse(data)


def array_of(data: Any, wire: tensors.WireType) -> NDArray[Any]:
    """Make a flat array of JSON values, in whichever lists they are; ValueError if they don't fit `wire`."""
    if wire.field is None:
        raise ValueError(f"{wire.datatype} has no JSON form; send it after the JSON, with {BINARY_SIZE}")
    values = _flat(data)
    if len(values) > PIECE:
        pieces = [array_of(values[at : at + PIECE], wire) for at in range(0, len(values), PIECE)]
        return np.concatenate(pieces)
    kinds = set(map(type, values))
    if not kinds <= _taken(wire):
        raise ValueError(f"values of {wire.datatype} can't be {sorted(kind.__name__ for kind in kinds)}")
    if not wire.item_bytes:
        return tensors.from_values([value.encode() for value in values], wire, (len(values),))
    try:
        with np.errstate(over="raise"):
            return tensors.from_values(values, wire, (len(values),))
    except FloatingPointError as error:
        raise ValueError(f"a value is too large for {wire.datatype}") from error


def values_of(raw: bytes, tensor: Any) -> Any:
    """Give an output's values for JSON, all in one list. What isn't finite becomes null."""
    flat = tensors.from_raw(raw, BY_DATATYPE[tensor.datatype], tuple(tensor.shape)).ravel()
    if flat.dtype == object:
        return [item.decode(errors="replace") for item in flat]
    return flat


def _add_input(request: Any, described: Mapping[str, Any], binary: Binary, subject: Subject) -> None:
    name = take(described, "name", "", where="an input")
    where = f"input '{name}'"
    shape = take(described, "shape", list[Any](), where=where)
    if not all(map(is_whole, shape)):
        raise InvalidRequestError(f"{UNREADABLE}: 'shape' of {where} must be a list of whole numbers")
    tensor = request.inputs.add(name=name, datatype=take(described, "datatype", "", where=where), shape=shape)
    parameters = dict(take(described, "parameters", dict[str, Any](), where=where))
    size = parameters.pop(BINARY_SIZE, None)
    set_parameters(tensor.parameters, parameters)
    if SHARED_MEMORY in parameters:
        return  # It brings no data; `oip_codec` refuses it.
    try:
        if size is not None:
            request.raw_input_contents.append(binary.take(take({BINARY_SIZE: size}, BINARY_SIZE, 0)))
        elif "data" in described:
            request.raw_input_contents.append(_raw(described["data"], tensor.datatype))
        else:
            raise no_data(tensor, subject)
    except ValueError as error:
        raise subject.refuse(
            f"unable to read the values for {where} for model '{subject.model}': {error}"
        ) from error


def _raw(data: Any, datatype: str) -> bytes:
    wire = BY_DATATYPE.get(datatype)
    # The codec knows which datatype is wanted, and refuses all others.
    return b"" if wire is None else tensors.to_raw(array_of(data, wire), wire)


def _flat(data: Any) -> list[Any]:
    """Take lists out of lists, all of one length; ValueError if they aren't."""
    if not isinstance(data, list):
        raise ValueError("data must be a list")  # noqa: TRY004 - the client's mistake, said like the others
    values: list[Any] = data
    while values and isinstance(values[0], list):
        lengths = {len(each) if isinstance(each, list) else -1 for each in values}
        if len(lengths) > 1:
            raise ValueError("its lists have different lengths")
        values = list(chain.from_iterable(values))
    return values


def _taken(wire: tensors.WireType) -> set[type[Any]]:
    """Say which kinds of JSON values a dtype takes."""
    if not wire.item_bytes:
        return {str}
    kind = wire.numpy.kind
    return {bool} if kind == "b" else {int, float} if kind == "f" else {int}


def _objects(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    objects = take(document, key, list[Any]())
    if not all(isinstance(each, dict) for each in objects):
        raise InvalidRequestError(f"{UNREADABLE}: each of '{key}' must be an object")
    return objects
