"""What an ONNX file may hold, and the signature that its graph has.

Refused: operators of domains that ONNX Runtime doesn't come with, since they need code of their own;
parameters in other files, since those would not be what was published; more nodes, or deeper ones, than any
model has, also where functions that call functions make many of few.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from ..errors import InvalidModelError
from ..signature import ANY_SIZE, DTYPES, Signature, TensorSpec
from .onnx_repair import repair

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
ROWS = "rows"
# A loop in a branch in a loop is three.
MAX_DEPTH = 16
# Protobuf takes no more; what is refused need not be read first.
MAX_BYTES = 2**31 - 1
# Networks have some thousand; a forest of any size is one.
MAX_NODES = 100_000


def read_signature(path: Path) -> Signature:
    """Check the model at `path` and return its inputs and those outputs that hold one value or more a row.

    InvalidModelError if onnx's checker refuses it, or it needs more than ONNX Runtime and this one file.
    """
    model = _load(path)
    given = {tensor.name for tensor in model.graph.initializer}
    puts = [put for put in model.graph.input if put.name not in given]
    inputs = tuple(_input(path, put) for put in puts)
    outputs = tuple(spec for put in model.graph.output if (spec := _spec(put)) is not None)
    if not outputs:
        names = [put.name for put in model.graph.output]
        raise InvalidModelError(
            f"{str(path)!r} has no output that is a tensor with a free rows axis, among {names}; "
            "export it with a dynamic batch axis (scikit-learn: with options={'zipmap': False})"
        )
    return Signature(inputs, outputs)


def rename(path: Path, signature: Signature, target: Path) -> None:
    """Write the model at `path`, repaired, to `target` with `signature`'s names and order; InvalidModelError.

    Inputs are told by their names where the exporter kept them, else by their order, as outputs are.
    """
    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    puts = _matched(path, list(graph.input), signature.inputs)
    outputs = list(graph.output)
    if len(outputs) != len(signature.outputs):
        raise InvalidModelError(
            f"{str(path)!r} has the outputs {[put.name for put in outputs]}; "
            f"the model has {[spec.name for spec in signature.outputs]}"
        )
    specs = (*signature.inputs, *signature.outputs)
    names = {put.name: spec.name for put, spec in zip((*puts, *outputs), specs, strict=True)}
    rename_tensors(graph, _without_clashes(graph, names))
    for put in (*puts, *outputs):
        put.type.tensor_type.shape.dim[0].dim_param = ROWS
    repair(graph)
    ordered = [onnx.ValueInfoProto.FromString(put.SerializeToString()) for put in puts]
    del graph.input[:]
    graph.input.extend(ordered)
    onnx.save(model, target)


def _load(path: Path) -> Any:
    """Parse and check the file, without touching any other: onnx's checker would look for those it names."""
    if (size := path.stat().st_size) > MAX_BYTES:
        raise InvalidModelError(
            f"{str(path)!r} has {size} bytes; {MAX_BYTES} may be in ONNX: keep parameters in fewer bits"
        )
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's errors have no class in common with onnx's
        raise _invalid(path, error) from error
    _check_count(path, model)
    _check_one_file(path, model)
    _check_domains(path, model)
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        raise _invalid(path, error) from error
    return model


def _invalid(path: Path, error: Exception) -> InvalidModelError:
    text = " ".join(str(error).split())
    return InvalidModelError(f"{str(path)!r} is not a valid ONNX model: {text}; export it again")


def _check_count(path: Path, model: Any) -> None:
    """Refuse too many nodes, those of a function counted at every call: ONNX Runtime writes them out."""
    functions = {(each.domain, each.name, each.overload): each for each in model.functions}
    waiting, count = [model.graph], 0
    while waiting:
        for node in _nodes(waiting.pop()):
            count += 1
            if count > MAX_NODES:
                raise InvalidModelError(
                    f"{str(path)!r} has over {MAX_NODES} nodes with its functions written out, as no model "
                    "has: export it with fewer layers, or loops in place of their steps"
                )
            if (called := functions.get((node.domain, node.op_type, node.overload))) is not None:
                waiting.append(called)


def _check_domains(path: Path, model: Any) -> None:
    """Refuse operators that ONNX Runtime doesn't come with."""
    opsets = (opset for part in (model, *model.functions) for opset in part.opset_import)
    used = {opset.domain for opset in opsets} | {function.domain for function in model.functions}
    used |= {node.domain for body in _bodies(model) for node in _nodes(body)}
    foreign = sorted(used - DOMAINS)
    if foreign:
        raise InvalidModelError(
            f"{str(path)!r} uses operators of {foreign}; those of {sorted(DOMAINS)} are served: "
            "export it without custom operators (functions inlined)"
        )


def _check_one_file(path: Path, model: Any) -> None:
    """Refuse parameters that lie in another file."""
    outside = [tensor.name for tensor in _tensors(model) if tensor.data_location == onnx.TensorProto.EXTERNAL]
    if outside:
        raise InvalidModelError(
            f"{str(path)!r} keeps {len(outside)} of its tensors, such as {outside[0]!r}, in another file; "
            "save it as one: onnx.save(onnx.load(path), target)"
        )


def _bodies(model: Any) -> tuple[Any, ...]:
    """Return what has nodes: the graph and the functions."""
    return (model.graph, *model.functions)


def _graphs(graph: Any) -> Iterator[Any]:
    """Return the graph, or function, and those inside its nodes: bodies of loops, branches."""
    waiting = [(graph, 0)]
    while waiting:
        found, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise InvalidModelError(
                f"the graph has loops or branches nested over {MAX_DEPTH} deep, as in no model: export anew"
            )
        yield found
        for node in found.node:
            for attribute in node.attribute:
                waiting.extend((inner, depth + 1) for inner in attribute.graphs)
                if attribute.HasField("g"):
                    waiting.append((attribute.g, depth + 1))


def _nodes(graph: Any) -> Iterator[Any]:
    return (node for inner in _graphs(graph) for node in inner.node)


def _tensors(model: Any) -> Iterator[Any]:
    """Return every tensor that is written into the model."""
    graphs = [graph for body in _bodies(model) for graph in _graphs(body)]
    for graph in graphs:
        # Functions have no parameters of their own.
        if isinstance(graph, onnx.GraphProto):
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
    for node in (node for graph in graphs for node in graph.node):
        for attribute in node.attribute:
            sparse = (attribute.sparse_tensor, *attribute.sparse_tensors)
            yield from (attribute.t, *attribute.tensors)
            yield from (tensor for each in sparse for tensor in (each.values, each.indices))


def _input(path: Path, put: Any) -> TensorSpec:
    """Read one input; InvalidModelError unless its first axis is free."""
    spec = _spec(put)
    if spec is None:
        dims = [dim.dim_param or dim.dim_value for dim in put.type.tensor_type.shape.dim]
        raise InvalidModelError(
            f"{str(path)!r} has the input {put.name!r} of shape {dims}; its first axis must be free, for any "
            "number of rows: export it with a dynamic batch axis"
        )
    return spec


def _spec(put: Any) -> TensorSpec | None:
    """Read one tensor of the graph; None if it isn't one, or its rows axis is fixed or missing."""
    tensor = put.type.tensor_type
    dims = tensor.shape.dim
    if not put.type.HasField("tensor_type") or not dims or dims[0].HasField("dim_value"):
        return None
    dtype = _dtype(tensor.elem_type)
    if dtype is None:
        return None
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else ANY_SIZE for dim in dims[1:])
    return TensorSpec(put.name, dtype, shape)


def _dtype(element: int) -> str | None:
    """Return our name of an ONNX element type; None if it has none."""
    if element == onnx.TensorProto.STRING:
        return "bytes"
    try:
        name = str(onnx.helper.tensor_dtype_to_np_dtype(element))
    except KeyError:
        return None
    return name if name in DTYPES else None


def _matched(path: Path, puts: Sequence[Any], specs: Sequence[TensorSpec]) -> list[Any]:
    """Return the graph's inputs in the order of `specs`."""
    by_name = {put.name.removesuffix(":0"): put for put in puts}
    if {spec.name for spec in specs} == set(by_name):
        return [by_name[spec.name] for spec in specs]
    if len(puts) != len(specs):
        raise InvalidModelError(
            f"{str(path)!r} has the inputs {sorted(by_name)}; the model has {[spec.name for spec in specs]}"
        )
    return list(puts)


def _without_clashes(graph: Any, names: Mapping[str, str]) -> dict[str, str]:
    """Add to `names` new ones for inner tensors that have a name which an input or output is to get."""
    clashing = (inner_names(graph) & set(names.values())) - set(names)
    return {**names, **{name: f"{name}__inner" for name in clashing}}


def inner_names(graph: Any) -> set[str]:
    """Return the names of all tensors that are computed or kept in `graph`, its outputs among them."""
    computed = {name for found in _graphs(graph) for node in found.node for name in node.output}
    return computed | {tensor.name for found in _graphs(graph) for tensor in found.initializer}


def rename_tensors(graph: Any, names: Mapping[str, str]) -> None:
    """Give tensors other names wherever they are named."""
    for found in _graphs(graph):
        for named in (*found.input, *found.output, *found.value_info, *found.initializer):
            named.name = names.get(named.name, named.name)
        for node in found.node:
            node.input[:] = [names.get(name, name) for name in node.input]
            node.output[:] = [names.get(name, name) for name in node.output]
