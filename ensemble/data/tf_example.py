"""tf.Example -> arrays, without TensorFlow: the few lines of protobuf that such records use.

Example { Features features = 1 }, Features { map<string, Feature> feature = 1 },
Feature { BytesList 1 | FloatList 2 | Int64List 3 }, each list { repeated value = 1 }.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # protobuf's wire types
BYTES_LIST, FLOAT_LIST, INT64_LIST = 1, 2, 3
MORE = 0x80

Values = list[bytes] | NDArray[np.float32] | NDArray[np.int64]


def features(record: bytes) -> dict[str, Values]:
    """Return the features of one serialized tf.Example; InvalidDataError if it is none."""
    found = {}
    try:
        for body in _messages(record):
            for entry in _messages(body):
                name, feature = b"", b""
                for number, _, value in _fields(entry):
                    if number == 1 and isinstance(value, bytes):
                        name = value
                    elif number == 2 and isinstance(value, bytes):  # noqa: PLR2004 - the value of a map's entry
                        feature = value
                found[name.decode()] = _values(feature)
    except (IndexError, ValueError) as error:
        raise InvalidDataError(f"isn't a tf.Example: {error}", code="parse") from None
    return found


def _values(feature: bytes) -> Values:
    """Return the values of one Feature; an empty one has no bytes."""
    for kind, _, content in _fields(feature):
        if not isinstance(content, bytes):
            continue
        if kind == BYTES_LIST:
            return [value for _, _, value in _fields(content) if isinstance(value, bytes)]
        if kind == FLOAT_LIST:
            # Packed or one by one, each value is the same four bytes.
            packed = b"".join(value for _, _, value in _fields(content) if isinstance(value, bytes))
            return np.frombuffer(packed, dtype="<f4").astype(np.float32)
        if kind == INT64_LIST:
            return _integers(content)
    return []


def _integers(content: bytes) -> NDArray[np.int64]:
    """Return the values of an Int64List."""
    found: list[int] = []
    for _, wire, value in _fields(content):
        if wire == VARINT and isinstance(value, int):
            found.append(value)
        elif isinstance(value, bytes):
            plain = np.frombuffer(value, dtype=np.uint8)
            if (plain < MORE).all():
                found += plain.tolist()
                continue
            at = 0
            while at < len(value):
                number, at = _varint(value, at)
                found.append(number)
    return np.array(found, dtype=np.uint64).astype(np.int64)


def _messages(data: bytes) -> Iterator[bytes]:
    """Give the messages that are field 1 of `data`."""
    for number, _, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            yield value


def _fields(data: bytes) -> Iterator[tuple[int, int, bytes | int]]:
    """Give the number, the wire type and the content of each field."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        value: bytes | int
        if wire == VARINT:
            value, at = _varint(data, at)
        elif wire in (FIXED64, LENGTH, FIXED32):
            size = {FIXED64: 8, FIXED32: 4}.get(wire, 0)
            if wire == LENGTH:
                size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
            if at > len(data):
                raise ValueError("it is cut short")
        else:
            raise ValueError(f"it has a field of wire type {wire}")
        yield key >> 3, wire, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at `at`, and where the next field does."""
    number, shift = 0, 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at += 1
        if byte < MORE:
            return number & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
        if shift > 63:  # noqa: PLR2004 - ten bytes are the most for 64 bits
            raise ValueError("it has a number of over 64 bits")
