"""An ONNX file that takes the ensemble's inputs: by their names, in their shapes.

Trees want an image as one row of pixels, PyTorch's networks want its channels first, and files call the same
thing by other names. The step becomes part of the graph, so every runtime serves the same thing, and nothing
else in the way of a request or a refit has to know of it.
"""

from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from ..errors import InvalidModelError
from ..member import Rows
from ..signature import ANY_SIZE, Signature, TensorSpec
from .onnx_file import ROWS, inner_names, rename_tensors

RESHAPE, CHANNELS_FIRST = "reshape", "channels-first"
_OPSET = 17
_IMAGE_AXES = 3


def steps_between(given: TensorSpec, wanted: TensorSpec) -> tuple[str, ...]:
    """Return what makes rows of `wanted` of rows of `given`; InvalidModelError if nothing does.

    Flat rows are laid out in row-major order, as numpy's `reshape` does; the channels of an image [height,
    width, channels] can be put first. Numbers may become wider ones that hold them exactly.
    """
    if not np.can_cast(np.dtype(given.dtype), np.dtype(wanted.dtype), "safe"):
        raise _no_way(given, wanted)
    if given.shape == wanted.shape:
        return ()
    if len(given.shape) == _IMAGE_AXES and wanted.shape == (given.shape[2], *given.shape[:2]):
        return (CHANNELS_FIRST,)
    flat = 1 in (len(given.shape), len(wanted.shape))
    if flat and ANY_SIZE not in (*given.shape, *wanted.shape) and prod(given.shape) == prod(wanted.shape):
        return (RESHAPE,)
    raise _no_way(given, wanted)


def laid_out(array: NDArray[Any], given: TensorSpec, wanted: TensorSpec) -> NDArray[Any]:
    """Return rows of `given` as rows of `wanted`, as the graph that `take` writes lays them out."""
    steps = steps_between(given, wanted)
    found = array.astype(wanted.dtype)
    if CHANNELS_FIRST in steps:
        return np.moveaxis(found, 3, 1)
    return found.reshape(len(array), *wanted.shape) if RESHAPE in steps else found


def own_rows(rows: Rows, signature: Signature, taken: Mapping[str, TensorSpec]) -> Rows:
    """Return the ensemble's `rows` as a file of `signature` takes them; `taken` as in `take`."""
    return {
        spec.name: laid_out(rows[taken[spec.name].name], taken[spec.name], spec)
        if spec.name in taken
        else rows[spec.name]
        for spec in signature.inputs
    }


def take(path: Path, target: Path, signature: Signature, taken: Mapping[str, TensorSpec]) -> Signature:
    """Write the model at `path` to `target`, with the inputs of `taken` in place of its own, by their names.

    `signature` is what it takes; return what it takes then. InvalidModelError where its own can't be made of
    them.
    """
    own = {spec.name: spec for spec in signature.inputs}
    inputs = {name: spec for name, spec in own.items() if name not in taken}
    nodes: list[Any] = []
    for name, spec in taken.items():
        if inputs.setdefault(spec.name, spec) != spec:
            raise InvalidModelError(
                f"input {spec.name!r} would be both {_said(inputs[spec.name])} and {_said(spec)}; rename one"
            )
        nodes += _nodes(spec, own[name], _own(name))
    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    rename_tensors(graph, _apart(graph, taken))
    body, puts = list(graph.node), {put.name: put for put in graph.input}
    kept = [put for name, put in puts.items() if name not in map(_own, taken)]
    added = [_info(spec) for name, spec in inputs.items() if name not in puts]
    graph_inputs = [onnx.ValueInfoProto.FromString(put.SerializeToString()) for put in (*kept, *added)]
    del graph.node[:], graph.input[:]
    graph.node.extend([*nodes, *body])
    graph.input.extend(graph_inputs)
    if all(opset.domain not in ("", "ai.onnx") for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid("", _OPSET))
    onnx.save(model, target)
    return Signature(tuple(inputs.values()), signature.outputs)


def _own(name: str) -> str:
    """Name the tensor that was an input of this name."""
    return f"{name}__own"


def _apart(graph: Any, taken: Mapping[str, TensorSpec]) -> dict[str, str]:
    """Return new names for the inputs in `taken`, and for inner tensors that are called as the new ones."""
    clashing = inner_names(graph) & {spec.name for spec in taken.values()}
    return {name: _own(name) for name in taken} | {name: f"{name}__inner" for name in clashing}


def _nodes(given: TensorSpec, wanted: TensorSpec, target: str) -> Iterator[Any]:
    """Yield the nodes that compute the tensor `target`, rows of `wanted`, of the input `given`."""
    steps = steps_between(given, wanted)
    element = helper.np_dtype_to_tensor_dtype(np.dtype(wanted.dtype))
    cast = f"{target}__cast" if steps else target
    yield helper.make_node("Cast", [given.name], [cast], to=element)
    if CHANNELS_FIRST in steps:
        yield helper.make_node("Transpose", [cast], [target], perm=[0, 3, 1, 2])
    elif RESHAPE in steps:
        # A node and no initializer: in files of old versions those have to be inputs too.
        shape = numpy_helper.from_array(np.asarray((-1, *wanted.shape), np.int64))
        yield helper.make_node("Constant", [], [f"{target}__shape"], value=shape)
        yield helper.make_node("Reshape", [cast, f"{target}__shape"], [target])


def _info(spec: TensorSpec) -> Any:
    element = helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
    shape = [None if size == ANY_SIZE else size for size in spec.shape]
    return helper.make_tensor_value_info(spec.name, element, [ROWS, *shape])


def _said(spec: TensorSpec) -> str:
    return f"{spec.dtype} {list(spec.shape)}"


def _no_way(given: TensorSpec, wanted: TensorSpec) -> InvalidModelError:
    return InvalidModelError(
        f"input {wanted.name!r} takes {_said(wanted)}, which can't be made of {given.name!r}, "
        f"{_said(given)}; what can be: another name, a flat row of as many numbers, an image's channels first"
    )
