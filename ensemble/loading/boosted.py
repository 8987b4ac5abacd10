"""LightGBM's and XGBoost's own model files to ONNX, by onnxmltools. Runs in the confined child.

Rows are 32-bit floats, LightGBM's thresholds 64-bit. Rounded to the nearest 32-bit float, a threshold could
let a row on it go the other way, and its scores move by a whole leaf. So thresholds are rounded down first:
for every 32-bit x, x <= t holds exactly where x <= rounded_down(t) does. XGBoost's are 32-bit already.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ..errors import InvalidModelError
from ..signature import Signature, TensorSpec

FEATURES = "features"
SCORES = "scores"
MAX_FEATURES = 100_000
THRESHOLD_ROWS = 256
_BINARY = 2
_OPSET = 15
_LEAF = b"LEAF"
INFINITY = np.float32(np.inf)


@dataclass(frozen=True, slots=True)
class Boosted:
    """A converted model: what it takes and gives, who made it, and what that one answers to `rows`."""

    signature: Signature
    made_by: str
    rows: NDArray[np.float32]
    answers: NDArray[np.float64]


def convert_lightgbm(file: Path, target: Path, sample: NDArray[Any] | None = None) -> Boosted:
    """Write the model in LightGBM's text `file` to `target` as ONNX; it answers rows of `sample` too."""
    import lightgbm  # noqa: PLC0415 - an extra, and in the child only

    text = file.read_text()
    booster = lightgbm.Booster(model_str=text)
    rounded = lightgbm.Booster(model_str="\n".join(_thresholds_down(text.split("\n"))))
    import onnxmltools  # noqa: PLC0415 - takes seconds, and not for files that are refused

    model = onnxmltools.convert_lightgbm(
        rounded, initial_types=_inputs(booster.num_feature()), target_opset=_OPSET, zipmap=False
    )
    signature, rows = _finished(model, target, sample)
    answers = _answers(booster.predict(rows, num_threads=1), signature)
    return Boosted(signature, f"lightgbm {lightgbm.__version__}", rows, answers)


def convert_xgboost(file: Path, target: Path, sample: NDArray[Any] | None = None) -> Boosted:
    """Write the model in XGBoost's JSON or UBJSON `file` to `target` as ONNX; see `convert_lightgbm`."""
    if file.suffix == ".json":
        try:
            json.loads(file.read_bytes())
        except (ValueError, RecursionError) as error:
            raise InvalidModelError(f"it is no JSON of a model: {error}; save it again") from None
    import xgboost  # noqa: PLC0415 - an extra, and in the child only

    booster = xgboost.Booster(model_file=str(file))
    booster.set_param({"nthread": 1})
    if json.loads(booster.save_config())["learner"]["objective"]["name"] == "multi:softmax":
        # It would answer the best class alone; its probabilities are those of its sister.
        booster.set_param({"objective": "multi:softprob"})
    # The converter reads features' names as numbers, f0, f1, ..., and knows no others.
    booster.feature_names = None
    import onnxmltools  # noqa: PLC0415 - takes seconds, and not for files that are refused

    model = onnxmltools.convert_xgboost(
        booster, initial_types=_inputs(booster.num_features()), target_opset=_OPSET
    )
    signature, rows = _finished(model, target, sample)
    answers = _answers(booster.predict(xgboost.DMatrix(rows, nthread=1)), signature)
    return Boosted(signature, f"xgboost {xgboost.__version__}", rows, answers)


def _inputs(count: int) -> list[Any]:
    """Describe the features, as onnxmltools wants it."""
    if not 0 < count <= MAX_FEATURES:
        raise InvalidModelError(f"it takes {count} features; 1 to {MAX_FEATURES} may be")
    from onnxmltools.convert.common.data_types import FloatTensorType  # noqa: PLC0415 - as above

    return [(FEATURES, FloatTensorType([None, count]))]


def _finished(model: Any, target: Path, sample: NDArray[Any] | None) -> tuple[Signature, NDArray[np.float32]]:
    """Write the model with the scores as its only output; return its signature and rows to ask."""
    graph = model.graph
    scores = onnx.ValueInfoProto.FromString(graph.output[-1].SerializeToString())
    del graph.output[:]
    graph.output.append(scores)
    dims = scores.type.tensor_type.shape.dim
    dims[0].dim_param = "rows"
    onnx.save(model, target)
    count = graph.input[0].type.tensor_type.shape.dim[1].dim_value
    rows = threshold_rows(model, count)
    if sample is not None:
        rows = np.concatenate([rows, sample.astype(np.float32)])
    inputs = (TensorSpec(FEATURES, "float32", (count,)),)
    return Signature(inputs, (TensorSpec(SCORES, "float32", (dims[1].dim_value,)),)), rows


def _answers(found: Any, signature: Signature) -> NDArray[np.float64]:
    """Return what the library says [row, score]; of two classes it gives the second one alone."""
    answers = np.asarray(found, dtype=np.float64).reshape(len(found), -1)
    if signature.outputs[0].shape == (_BINARY,) and answers.shape[1] == 1:
        return np.concatenate([1 - answers, answers], axis=1)
    return answers


def threshold_rows(model: Any, count: int) -> NDArray[np.float32]:
    """Return rows [row, feature] where a conversion goes wrong if it does: on thresholds and beside them."""
    random = np.random.default_rng(0)
    rows = random.random((THRESHOLD_ROWS, count)).astype(np.float32)
    for feature, values in _thresholds(model).items():
        near = np.asarray(values, np.float32)
        near = np.concatenate([near, np.nextafter(near, INFINITY), np.nextafter(near, -INFINITY)])
        rows[:, feature] = random.choice(near, THRESHOLD_ROWS)
    return rows


def _thresholds(model: Any) -> dict[int, list[float]]:
    """Return all thresholds of the trees in `model`, by feature."""
    found: dict[int, list[float]] = {}
    for node in model.graph.node:
        given = {attribute.name: attribute for attribute in node.attribute}
        if "nodes_values" not in given:
            continue
        named = zip(
            given["nodes_modes"].strings,
            given["nodes_featureids"].ints,
            given["nodes_values"].floats,
            strict=True,
        )
        for mode, feature, value in named:
            if mode != _LEAF:
                found.setdefault(feature, []).append(value)
    return found


def _thresholds_down(lines: list[str]) -> Iterator[str]:
    """Yield the lines of LightGBM's text with every threshold rounded down to a 32-bit float."""
    for line in lines:
        key, equals, values = line.partition("=")
        if key == "threshold" and equals:
            yield f"threshold={' '.join(repr(rounded_down(float(value))) for value in values.split())}"
        elif key != "tree_sizes":
            # Sizes in bytes, which no longer hold and may be left out.
            yield line


def rounded_down(value: float) -> float:
    """Return the largest 32-bit float that is not above `value`: for 32-bit x, x <= one is x <= the other."""
    with np.errstate(over="ignore"):
        near = np.float32(value)
    return float(near if float(near) <= value else np.nextafter(near, -INFINITY))
