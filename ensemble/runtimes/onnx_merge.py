"""Several ONNX models as one, with the inputs they share and one output each.

ONNX files are protobuf messages. Merging needs no more of them than the names of tensors, so the few messages
that hold names are rewritten here, field by field, and the rest goes over byte for byte: the server needs
neither the `onnx` package nor another process. Why: docs/decisions/0004-one-graph.md.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from ..errors import InvalidModelError

Chunks = list[bytes | memoryview]
Rename = Callable[[str], str]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_VARINT = 10

# Field numbers of ModelProto and GraphProto.
_IR_VERSION, _GRAPH, _OPSETS = 1, 7, 8
_NODE, _GRAPH_NAME, _INITIALIZER, _INPUT, _OUTPUT, _SPARSE = 1, 2, 5, 11, 12, 15
# What is dropped: who made it, documentation, and shapes that ONNX Runtime infers by itself.
_MODEL_DROPPED = frozenset({2, 3, 4, 5, 6, 14})
_GRAPH_DROPPED = frozenset({2, 10, 13, 14, 16})

# Message -> its fields that are the name of a tensor or node (None), or hold a message with such fields.
_NAMED: dict[str, dict[int, str | None]] = {
    "graph": {1: "node", 5: "tensor", 11: "value", 12: "value", 13: "value", 15: "sparse"},
    "node": {1: None, 2: None, 3: None, 5: "attribute"},
    "attribute": {6: "graph", 11: "graph"},
    "tensor": {8: None},
    "sparse": {1: "tensor"},
    "value": {1: None},
}


class _Field(NamedTuple):
    """One field of a message: its number, its bytes with the tag, and, of wire type 2, its content."""

    number: int
    whole: memoryview
    content: memoryview


class _Model(NamedTuple):
    """One model, taken apart."""

    ir_version: int
    opsets: frozenset[bytes]
    graph: tuple[_Field, ...]


def merge(models: Mapping[str, bytes], outputs: Mapping[str, str]) -> bytes:
    """Return one model that holds all `models`; the scores of NAME are its output `output_name(NAME)`.

    `outputs` says which output of each is its scores. Inputs of one name are one input. InvalidModelError if
    they can't be merged: other operator sets, functions of their own, or not a model.
    """
    parsed = {name: _parsed(name, data) for name, data in models.items()}
    if len({model.opsets for model in parsed.values()}) != 1:
        raise InvalidModelError(f"models {list(models)} need different operator sets: they can't be merged")
    inputs: dict[str, Chunks] = {}
    rest: Chunks = []
    for name, model in parsed.items():
        rest += _graph(name, model.graph, outputs[name], inputs)
    graph: Chunks = [*_message(_GRAPH_NAME, [b"merged"]), *rest]
    for chunks in inputs.values():
        graph += _message(_INPUT, chunks)
    ir_version = max(model.ir_version for model in parsed.values())
    head: Chunks = [_tag(_IR_VERSION, _VARINT), _varint(ir_version)]
    for opset in sorted(next(iter(parsed.values())).opsets):
        head += _message(_OPSETS, [opset])
    return b"".join([*head, *_message(_GRAPH, graph)])


def output_name(member: str) -> str:
    """Return what the scores of `member` are called in a merged model."""
    return f"{member}//scores"


def _parsed(name: str, data: bytes) -> _Model:
    ir_version, opsets, graphs = 0, set(), []
    for field in _fields(memoryview(data)):
        if field.number == _IR_VERSION:
            ir_version = _read_varint(field.whole, 1)[0]
        elif field.number == _OPSETS:
            opsets.add(bytes(field.content))
        elif field.number == _GRAPH:
            graphs.append(tuple(_fields(field.content)))
        elif field.number not in _MODEL_DROPPED:
            raise InvalidModelError(f"model {name!r} has field {field.number}: it can't be merged")
    if len(graphs) != 1:
        raise InvalidModelError(f"model {name!r} has {len(graphs)} graphs; want one")
    return _Model(ir_version, frozenset(opsets), graphs[0])


def _graph(name: str, graph: tuple[_Field, ...], output: str, inputs: dict[str, Chunks]) -> Chunks:
    """Return a graph's nodes, parameters and output under new names; add its inputs to `inputs`."""
    given = {_name_of(field.content, "tensor") for field in graph if field.number == _INITIALIZER}
    given |= {_name_of(field.content, "sparse") for field in graph if field.number == _SPARSE}
    puts = {_name_of(field.content, "value"): field.content for field in graph if field.number == _INPUT}
    shared = {put for put in puts if put not in given}
    if output in shared:
        raise InvalidModelError(f"model {name!r} gives back its input {output!r}: it can't be merged")
    names = {put: put for put in shared} | {"": "", output: output_name(name)}

    def rename(old: str) -> str:
        return names.get(old, f"{name}/{old}")

    for put in shared:
        inputs.setdefault(put, [puts[put]])
    renamed: Chunks = []
    for field in graph:
        if field.number in _GRAPH_DROPPED or field.number == _INPUT:
            continue
        if field.number == _OUTPUT and _name_of(field.content, "value") != output:
            continue
        renamed += _message(field.number, _renamed(field.content, _kind(name, field), rename))
    return renamed


def _kind(name: str, field: _Field) -> str:
    kind = _NAMED["graph"].get(field.number)
    if kind is None:
        raise InvalidModelError(f"the graph of model {name!r} has field {field.number}: it can't be merged")
    return kind


def _renamed(data: memoryview, kind: str, rename: Rename) -> Chunks:
    """Rewrite a message, and those inside it, with other names."""
    chunks: Chunks = []
    for field in _fields(data):
        if field.number not in _NAMED[kind]:
            chunks.append(field.whole)
            continue
        inner = _NAMED[kind][field.number]
        if inner is None:
            chunks += _message(field.number, [rename(_text(field.content)).encode()])
        else:
            chunks += _message(field.number, _renamed(field.content, inner, rename))
    return chunks


def _name_of(data: memoryview, kind: str) -> str:
    """Return the name that a message of `kind` has."""
    for field in _fields(data):
        if field.number in _NAMED[kind]:
            inner = _NAMED[kind][field.number]
            return _text(field.content) if inner is None else _name_of(field.content, inner)
    return ""


def _text(data: memoryview) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise InvalidModelError(f"a name in an ONNX model is not UTF-8: {bytes(data)!r}") from error


def _message(number: int, chunks: Iterable[bytes | memoryview]) -> Chunks:
    """Return a field that holds `chunks`."""
    held = list(chunks)
    return [_tag(number, _BYTES), _varint(sum(map(len, held))), *held]


def _fields(data: memoryview) -> Iterator[_Field]:
    """Take a message apart; InvalidModelError if it is none."""
    at = 0
    while at < len(data):
        start = at
        tag, at = _read_varint(data, at)
        content = at
        if tag & 7 == _VARINT:
            at = _read_varint(data, at)[1]
        elif tag & 7 == _BYTES:
            length, content = _read_varint(data, at)
            at = content + length
        elif tag & 7 in _FIXED_SIZES:
            at += _FIXED_SIZES[tag & 7]
        else:
            raise InvalidModelError(f"wire type {tag & 7} is not used by ONNX")
        if at > len(data):
            raise InvalidModelError(f"a field of an ONNX message ends {at - len(data)} bytes after it")
        yield _Field(tag >> 3, data[start:at], data[content:at])


def _tag(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    """Read the number at `at`; return it and where it ends."""
    value = 0
    for index, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:  # noqa: PLR2004 - the high bit says that more follow
            return value, at + index + 1
    raise InvalidModelError(f"no number at byte {at} of an ONNX message")
