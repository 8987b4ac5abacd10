"""The random forest, exported to ONNX with the same input and outputs as any other member."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data.images import IMAGE
from .data.parts import Part

LABEL_OUTPUT = "label"
SCORES_OUTPUT = "scores"
TREES = 100
# Written into the file so that the same forest is the same bytes, whatever the exporter's version.
_OPSETS = {"": 18, "ai.onnx.ml": 3}


def fit_forest(rows: Part, *, seed: int, trees: int = TREES) -> Any:
    """Fit a forest on the flattened pixels and return scikit-learn's classifier."""
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415 - heavy: only when members are trained

    forest = RandomForestClassifier(n_estimators=trees, random_state=seed)
    return forest.fit(flatten(rows.inputs[IMAGE]), rows.label)


def flatten(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the images as the forest takes them: [row, pixel]."""
    return image.reshape(len(image), -1)


def node_count(forest: Any) -> int:
    """How many nodes all trees have together: what a forest has for parameters."""
    return sum(tree.tree_.node_count for tree in forest.estimators_)


def save_forest(forest: Any, path: Path, *, shape: tuple[int, int, int]) -> None:
    """Write `forest` as an ONNX file: `image` [row, *shape] in; `label` int64 and `scores` float32 out."""
    import onnx  # noqa: PLC0415 - heavy: only when members are trained

    model = to_onnx(forest, shape=shape)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def to_onnx(forest: Any, *, shape: tuple[int, int, int]) -> Any:
    """Return the ONNX model of `forest`, its pixels taken from images of `shape`."""
    from skl2onnx import convert_sklearn  # noqa: PLC0415 - heavy: only when members are trained
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType  # noqa: PLC0415 - heavy: as above

    pixels = int(np.prod(shape))
    model = convert_sklearn(
        forest,
        name="forest",
        initial_types=[("pixels", FloatTensorType([None, pixels]))],
        final_types=[
            (LABEL_OUTPUT, Int64TensorType([None])),
            (SCORES_OUTPUT, FloatTensorType([None, len(forest.classes_)])),
        ],
        options={id(forest): {"zipmap": False}},
        target_opset=_OPSETS,
    )
    _take_images(model.graph, shape, pixels)
    model.producer_name, model.producer_version, model.domain = "unisono", "", ""
    # The exporter lists them in the order of a set, which Python's hash seed decides.
    opsets = sorted(model.opset_import, key=lambda opset: opset.domain)
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    model.doc_string, model.graph.doc_string, model.model_version = "", "", 0
    return model


def _take_images(graph: Any, shape: tuple[int, int, int], pixels: int) -> None:
    """Put a Reshape in front, so that the graph takes images where it took pixels."""
    from onnx import TensorProto, helper  # noqa: PLC0415 - heavy: only when members are trained

    graph.initializer.append(helper.make_tensor("pixels_shape", TensorProto.INT64, [2], [-1, pixels]))
    reshape = helper.make_node("Reshape", [IMAGE, "pixels_shape"], ["pixels"], name="flatten")
    nodes = [reshape, *graph.node]
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes)
    graph.input.append(helper.make_tensor_value_info(IMAGE, TensorProto.FLOAT, ["rows", *shape]))
