"""An ONNX file whose scores are the ensemble's: probabilities instead of logits, columns in its order.

The steps become part of the graph, so every runtime serves the same thing, and nothing else in the way of a
request or a refit has to know of them. They are computed in float64.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from model_store.output import Output

from ..signature import TensorSpec
from .onnx_file import rename_tensors

SOFTMAX, SIGMOID, TWO_CLASSES = "softmax", "sigmoid", "two-classes"
_OPSET = 17
_LABELS = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")


def adapted(scores: NDArray[Any], output: Output) -> NDArray[np.float64]:
    """Return the ensemble's scores [row, class] of the file's, as `adapt`'s graph computes them."""
    found = scores.astype(np.float64)
    for step in output.steps:
        found = _STEPS[step](found)
    return found[:, list(output.columns)] if output.columns else found


def adapt(path: Path, target: Path, spec: TensorSpec, output: Output) -> None:
    """Write the model at `path` to `target` with the steps of `output` behind its output `spec`, float32.

    It keeps its name, and is then the model's only output.
    """
    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    given = f"{spec.name}__given"
    rename_tensors(graph, {spec.name: given})
    rows = next(put for put in graph.output if put.name == given).type.tensor_type.shape.dim[0].dim_param
    graph.node.extend(_nodes(given, spec.name, output))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(spec.name, TensorProto.FLOAT, [rows or "rows", None]))
    if all(opset.domain not in ("", "ai.onnx") for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid("", _OPSET))
    onnx.save(model, target)


def class_labels(path: Path) -> tuple[str, ...]:
    """Return the names that the model gives its columns; empty where it doesn't say.

    Classifiers of scikit-learn, LightGBM and XGBoost do so in their nodes; any file can, as a list in JSON
    under "classes" in its metadata.
    """
    model = onnx.load(path, load_external_data=False)
    for prop in model.metadata_props:
        if prop.key == "classes":
            return _listed(prop.value)
    for node in reversed(model.graph.node):
        if node.domain == "ai.onnx.ml":
            for attribute in node.attribute:
                if attribute.name in _LABELS and (attribute.strings or attribute.ints):
                    return tuple(text.decode(errors="replace") for text in attribute.strings) or tuple(
                        map(str, attribute.ints)
                    )
    return ()


def _listed(text: str) -> tuple[str, ...]:
    """Read a list of names; empty for anything else, since anybody may write anything there."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    return tuple(map(str, found)) if isinstance(found, list) else ()


def _nodes(given: str, target: str, output: Output) -> Iterator[Any]:
    """Yield the nodes that compute `target` of the tensor `given`."""
    at = f"{given}__f64"
    yield helper.make_node("Cast", [given], [at], to=TensorProto.DOUBLE)
    for step in output.steps:
        before, at = at, f"{at}__{step}"
        if step == SOFTMAX:
            yield helper.make_node("Softmax", [before], [at], axis=1)
        elif step == SIGMOID:
            yield helper.make_node("Sigmoid", [before], [at])
        else:
            yield _constant(f"{at}__one", np.ones((1, 1)))
            yield helper.make_node("Sub", [f"{at}__one", before], [f"{at}__other"])
            yield helper.make_node("Concat", [f"{at}__other", before], [at], axis=1)
    if output.columns:
        yield _constant(f"{at}__columns", np.asarray(output.columns, np.int64))
        yield helper.make_node("Gather", [at, f"{at}__columns"], [f"{at}__ordered"], axis=1)
        at = f"{at}__ordered"
    yield helper.make_node("Cast", [at], [target], to=TensorProto.FLOAT)


def _constant(name: str, value: NDArray[Any]) -> Any:
    # A node and no initializer: in files of old versions those have to be inputs too.
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value, name))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    # exp of what is never positive: it can't overflow.
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + small), small / (1 + small))


def _two_classes(second: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([1 - second, second], axis=1)


_STEPS = {SOFTMAX: _softmax, SIGMOID: _sigmoid, TWO_CLASSES: _two_classes}
