"""scikit-learn's histogram gradient boosting as ONNX, written from its trees: skl2onnx 1.20 fails on them.

A tree compares 32-bit rows with 64-bit thresholds, ONNX has 32-bit ones: they are rounded down, by which no
row changes sides, as `ensemble.loading.boosted` says. What is left is the rounding of leaves and their sum.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ensemble.errors import InvalidModelError

_BRANCH, _LEAF = "BRANCH_LEQ", "LEAF"
_RAW = "raw"


def to_onnx(
    estimator: Any, columns: tuple[str, int], outputs: Sequence[str], opsets: Mapping[str, int]
) -> Any:
    """Return the ONNX model of a fitted HistGradientBoostingClassifier or -Regressor.

    It takes float32 [row, column], by the name and number of `columns`, and gives `outputs`: label int64
    [row] and scores [row, class], or value [row, 1]. InvalidModelError for splits by category.
    """
    from onnx import TensorProto, helper  # noqa: PLC0415 - heavy: only when members are trained

    trees = helper.make_node(
        "TreeEnsembleRegressor",
        [columns[0]],
        [_RAW],
        domain="ai.onnx.ml",
        name="trees",
        **_attributes(estimator),
    )
    put = helper.make_tensor_value_info(columns[0], TensorProto.FLOAT, ["rows", columns[1]])
    if hasattr(estimator, "classes_"):
        label, scores = outputs
        nodes = [trees, *_scores(estimator, scores), *_labels(estimator, scores, label)]
        shapes = [
            helper.make_tensor_value_info(label, TensorProto.INT64, ["rows"]),
            helper.make_tensor_value_info(scores, TensorProto.FLOAT, ["rows", len(estimator.classes_)]),
        ]
    else:
        nodes = [trees, helper.make_node("Identity", [_RAW], list(outputs))]
        shapes = [helper.make_tensor_value_info(outputs[0], TensorProto.FLOAT, ["rows", 1])]
    graph = helper.make_graph(nodes, "estimator", [put], shapes)
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def is_one(estimator: Any) -> bool:
    """Whether `estimator`, fitted, is such a model."""
    return hasattr(estimator, "_predictors")


def node_count(estimator: Any) -> int:
    """How many nodes all trees have together."""
    return sum(len(tree.nodes) for tree, _ in _trees(estimator))


def _trees(estimator: Any) -> Iterator[tuple[Any, int]]:
    """Yield every tree and the score that it adds to."""
    for together in estimator._predictors:  # noqa: SLF001 - scikit-learn has no public way to its trees
        for target, tree in enumerate(together):
            yield tree, target


def _attributes(estimator: Any) -> dict[str, Any]:
    """Return the trees as the attributes of ONNX's operator."""
    baseline = np.ravel(estimator._baseline_prediction)  # noqa: SLF001 - as above
    found: dict[str, list[Any]] = {}
    for number, (tree, target) in enumerate(_trees(estimator)):
        if tree.nodes["is_categorical"].any():
            raise InvalidModelError("trees that split by category can't be written as ONNX; give numbers")
        for index, node in enumerate(tree.nodes):
            for key, value in _node(number, index, target, node).items():
                found.setdefault(key, []).append(value)
    return {**found, "n_targets": len(baseline), "base_values": baseline.astype(np.float32).tolist()}


def _node(tree: int, index: int, target: int, node: Any) -> dict[str, Any]:
    """Return what the operator's attributes say of one node."""
    from ensemble.loading.boosted import rounded_down  # noqa: PLC0415 - heavy: it imports onnx

    leaf = bool(node["is_leaf"])
    said = {
        "nodes_treeids": tree,
        "nodes_nodeids": index,
        "nodes_featureids": 0 if leaf else int(node["feature_idx"]),
        "nodes_modes": _LEAF if leaf else _BRANCH,
        "nodes_values": 0.0 if leaf else rounded_down(float(node["num_threshold"])),
        "nodes_truenodeids": 0 if leaf else int(node["left"]),
        "nodes_falsenodeids": 0 if leaf else int(node["right"]),
        "nodes_missing_value_tracks_true": 0 if leaf else int(node["missing_go_to_left"]),
    }
    weight = {"target_treeids": tree, "target_nodeids": index, "target_ids": target}
    return said | weight | {"target_weights": float(node["value"])} if leaf else said


def _scores(estimator: Any, scores: str) -> list[Any]:
    """Return the nodes from the sum of leaves to probabilities: softmax, or sigmoid of the second of two."""
    from onnx import TensorProto, helper  # noqa: PLC0415 - heavy: only when members are trained

    if estimator.n_trees_per_iteration_ > 1:
        return [helper.make_node("Softmax", [_RAW], [scores], axis=1)]
    one = helper.make_tensor("one_value", TensorProto.FLOAT, [1, 1], [1.0])
    return [
        helper.make_node("Sigmoid", [_RAW], ["second"]),
        helper.make_node("Constant", [], ["one"], value=one),
        helper.make_node("Sub", ["one", "second"], ["first"]),
        helper.make_node("Concat", ["first", "second"], [scores], axis=1),
    ]


def _labels(estimator: Any, scores: str, label: str) -> list[Any]:
    """Return the nodes that name the class of the highest score."""
    from onnx import helper, numpy_helper  # noqa: PLC0415 - heavy: only when members are trained

    classes = numpy_helper.from_array(np.asarray(estimator.classes_, np.int64))
    return [
        helper.make_node("ArgMax", [scores], ["best"], axis=1, keepdims=0),
        helper.make_node("Constant", [], ["classes"], value=classes),
        helper.make_node("Gather", ["classes", "best"], [label], axis=0),
    ]
