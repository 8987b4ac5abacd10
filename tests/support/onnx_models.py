"""Small ONNX models whose answers are known, written without TensorFlow.

Each function writes one `.onnx` file and returns what it computes, as a function of rows in float64.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Reference = Callable[[Mapping[str, NDArray[Any]]], NDArray[np.float64]]

OPSET = 17


def write_linear(
    path: Path,
    inputs: Mapping[str, int] | None = None,
    *,
    classes: int = 3,
    seed: int = 0,
    output: str = "scores",
    rows: str | int = "rows",
) -> Reference:
    """Write softmax(sum of input @ matrix + bias), taking the named inputs, `[row, features]` each.

    `rows` names the rows axis, or fixes it. Without `inputs` there is one, "x", of four features.
    """
    inputs = {"x": 4} if inputs is None else inputs
    random = np.random.default_rng(seed)
    matrices = {
        name: random.normal(size=(features, classes)).astype(np.float32) for name, features in inputs.items()
    }
    bias = random.normal(size=classes).astype(np.float32)
    nodes, total = [], "bias"
    for name in inputs:
        nodes.append(helper.make_node("MatMul", [name, f"{name}_matrix"], [f"{name}_part"]))
        nodes.append(helper.make_node("Add", [total, f"{name}_part"], [f"{name}_total"]))
        total = f"{name}_total"
    nodes.append(helper.make_node("Softmax", [total], [output], axis=-1))
    parameters = {f"{name}_matrix": matrix for name, matrix in matrices.items()} | {"bias": bias}
    save_graph(
        path,
        nodes,
        inputs={name: (rows, features) for name, features in inputs.items()},
        outputs={output: (rows, classes)},
        parameters=parameters,
    )

    def reference(given: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        logits = bias.astype(np.float64) + sum(
            given[name].astype(np.float64) @ matrix.astype(np.float64) for name, matrix in matrices.items()
        )
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float64)

    return reference


def write_constant(
    path: Path, scores: Sequence[float], *, features: int = 4, input_name: str = "x", output: str = "scores"
) -> Reference:
    """Write a model that answers `scores` to every row, whatever the row holds."""
    answer = np.asarray(scores, dtype=np.float32)
    nodes = [
        helper.make_node("MatMul", [input_name, "zeros"], ["nothing"]),
        helper.make_node("Add", ["nothing", "answer"], [output]),
    ]
    save_graph(
        path,
        nodes,
        inputs={input_name: ("rows", features)},
        outputs={output: ("rows", len(answer))},
        parameters={"zeros": np.zeros((features, len(answer)), np.float32), "answer": answer},
    )
    return lambda given: np.tile(answer.astype(np.float64), (len(given[input_name]), 1))


def write_forest(
    path: Path, *, features: int = 4, classes: int = 3, trees: int = 10, seed: int = 0, input_name: str = "x"
) -> Reference:
    """Write a random forest trained on random rows; its outputs are "label" and "probabilities"."""
    content, reference = _forest(features, classes, trees, seed, input_name)
    path.write_bytes(content)
    return reference


@functools.cache
def _forest(features: int, classes: int, trees: int, seed: int, input_name: str) -> tuple[bytes, Reference]:
    """Train and convert the same forest once a process: many tests write it."""
    from skl2onnx import to_onnx  # noqa: PLC0415 - scikit-learn takes a second to import
    from skl2onnx.common.data_types import FloatTensorType  # noqa: PLC0415
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415

    random = np.random.default_rng(seed)
    rows = random.normal(size=(400, features)).astype(np.float32)
    labels = (np.abs(rows[:, :2]).sum(axis=1) * 10).astype(int) % classes
    forest = RandomForestClassifier(n_estimators=trees, random_state=seed).fit(rows, labels)
    model = to_onnx(
        forest,
        initial_types=[(input_name, FloatTensorType([None, features]))],
        options={id(forest): {"zipmap": False}},
        target_opset={"": OPSET, "ai.onnx.ml": 3},
    )

    def reference(given: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        return np.asarray(forest.predict_proba(given[input_name]), dtype=np.float64)

    return model.SerializeToString(), reference


def save_graph(
    path: Path,
    nodes: Sequence[Any],
    *,
    inputs: Mapping[str, Sequence[str | int]],
    outputs: Mapping[str, Sequence[str | int]],
    parameters: Mapping[str, NDArray[Any]],
    domains: Mapping[str, int] | None = None,
) -> None:
    """Write `nodes` as a model: float32 inputs and outputs of these shapes, rows axis first."""
    graph = helper.make_graph(
        nodes,
        "small",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
            for name, shape in inputs.items()
        ],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
            for name, shape in outputs.items()
        ],
        [numpy_helper.from_array(value, name) for name, value in parameters.items()],
    )
    opsets = [
        helper.make_opsetid(domain, version)
        for domain, version in ({"": OPSET} | dict(domains or {})).items()
    ]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx.save(model, path)


def write_convnet(path: Path, *, classes: int = 10, seed: int = 0, input_name: str = "image") -> None:
    """Write plain and separable convolutions, pooling and a softmax over `[row, 16, 16, 1]` images."""
    random = np.random.default_rng(seed)
    shapes = {
        "plain": (16, 1, 3, 3),
        "depthwise": (16, 1, 3, 3),
        "pointwise": (32, 16, 1, 1),
        "dense": (32, classes),
    }
    nodes = [
        helper.make_node("Transpose", [input_name], ["channels_first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["channels_first", "plain"], ["first"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["first"], ["first_relu"]),
        helper.make_node("Conv", ["first_relu", "depthwise"], ["second"], group=16),
        helper.make_node("Conv", ["second", "pointwise"], ["third"]),
        helper.make_node("Relu", ["third"], ["third_relu"]),
        helper.make_node("GlobalAveragePool", ["third_relu"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "dense"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
    ]
    save_graph(
        path,
        nodes,
        inputs={input_name: ("rows", 16, 16, 1)},
        outputs={"scores": ("rows", classes)},
        parameters={name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()},
    )
