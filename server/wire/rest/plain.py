"""Messages -> what JSON is made of, and fields of JSON -> what a message takes.

Numbers stay numbers, unlike in protobuf's own JSON, which writes 64-bit ones as text: Triton's clients read
numbers.
"""

import gc
from collections.abc import Mapping
from typing import Any, TypeVar

import orjson

from ensemble.errors import InvalidRequestError

T = TypeVar("T")

UNREADABLE = "failed to parse the request JSON buffer"
INT64, UINT64 = 2**63 - 1, 2**64 - 1
KINDS: Mapping[type[Any], str] = {
    str: "a string", dict: "an object", list: "a list", bool: "true or false", int: "a whole number",
}  # fmt: skip


def plain(message: Any) -> dict[str, Any]:
    """Write a message as a dict: every field but those that are known not to be set."""
    return {
        field.name: _value(message, field)
        for field in message.DESCRIPTOR.fields
        if not field.has_presence or message.HasField(field.name)
    }


def parse(data: bytes) -> dict[str, Any]:
    """Read a JSON object; InvalidRequestError if it isn't one. NaN, infinity and great depth aren't JSON."""
    # Looking for cycles among so many new lists takes several times as long as reading them; there are none.
    collects = gc.isenabled()
    gc.disable()
    try:
        read = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"{UNREADABLE}: {error}") from error
    finally:
        if collects:
            gc.enable()
    if not isinstance(read, dict):
        raise InvalidRequestError(f"{UNREADABLE}: it must be an object")
    return read


def take(source: Mapping[str, Any], key: str, default: T, *, where: str = "the request") -> T:
    """Read a field that must be of the kind that `default` is; give that where it is missing."""
    value = source.get(key, default)
    # Not isinstance: to Python, true is a whole number.
    if type(value) is not type(default):
        raise InvalidRequestError(f"{UNREADABLE}: '{key}' of {where} must be {KINDS[type(default)]}")
    return value


def is_whole(value: Any, *, most: int = INT64) -> bool:
    """Whether `value` is a whole number that a message can hold."""
    return type(value) is int and -INT64 <= value <= most


def set_parameters(parameters: Any, values: Mapping[str, Any]) -> None:
    """Put the values of a JSON object into a message's parameters."""
    for key, value in values.items():
        field = _parameter_field(value)
        if field is None:
            raise InvalidRequestError(
                f"{UNREADABLE}: parameter '{key}' must be a string, a number, true or false"
            )
        setattr(parameters[key], field, value)


def parameters_of(parameters: Any) -> dict[str, Any]:
    """Write a message's parameters as a JSON object has them."""
    return {
        key: getattr(value, value.WhichOneof("parameter_choice"))
        for key, value in sorted(parameters.items())
        if value.WhichOneof("parameter_choice")
    }


def _parameter_field(value: Any) -> str | None:
    if is_whole(value, most=UINT64):
        return "int64_param" if value <= INT64 else "uint64_param"
    fields = {bool: "bool_param", str: "string_param", float: "double_param"}
    return fields.get(type(value))


def _value(message: Any, field: Any) -> Any:
    value = getattr(message, field.name)
    if not field.is_repeated:
        return _one(value, field)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        of = field.message_type.fields_by_name["value"]
        return {str(key): _one(value[key], of) for key in sorted(value)}
    return [_one(each, field) for each in value]


def _one(value: Any, field: Any) -> Any:
    if field.message_type is not None:
        return plain(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return value
