"""scikit-learn's estimators, exported to ONNX with the same input and outputs as any other member."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.errors import InvalidModelError

from . import hist_boosting
from .data.parts import Part

LABEL_OUTPUT = "label"
SCORES_OUTPUT = "scores"
VALUE_OUTPUT = "value"
_COLUMNS = "columns"
# Written into the file so that the same estimator is the same bytes, whatever the exporter's version.
_OPSETS = {"": 18, "ai.onnx.ml": 3}


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of estimator: scikit-learn's module and its classes for labels and for numbers.

    `options` are ours, with scikit-learn's name of each and the value if left out. Where `scaled`, features
    are first given mean 0 and variance 1; where `seeded`, chance has a part in it.
    """

    module: str
    of_labels: str
    of_values: str
    options: Mapping[str, tuple[str, Any]]
    scaled: bool = False
    seeded: bool = True


KINDS: Mapping[str, Kind] = {
    "random-forest": Kind(
        "sklearn.ensemble",
        "RandomForestClassifier",
        "RandomForestRegressor",
        {"trees": ("n_estimators", 100)},
    ),
    "extra-trees": Kind(
        "sklearn.ensemble", "ExtraTreesClassifier", "ExtraTreesRegressor", {"trees": ("n_estimators", 100)}
    ),
    "gradient-boosting": Kind(
        "sklearn.ensemble",
        "GradientBoostingClassifier",
        "GradientBoostingRegressor",
        {"trees": ("n_estimators", 100), "depth": ("max_depth", 3), "learning_rate": ("learning_rate", 0.1)},
    ),
    "hist-gradient-boosting": Kind(
        "sklearn.ensemble",
        "HistGradientBoostingClassifier",
        "HistGradientBoostingRegressor",
        {
            "trees": ("max_iter", 100),
            "leaves": ("max_leaf_nodes", 31),
            "learning_rate": ("learning_rate", 0.1),
        },
    ),
    "logistic": Kind(
        "sklearn.linear_model",
        "LogisticRegression",
        "",
        {"freedom": ("C", 1.0), "steps": ("max_iter", 1000)},
        scaled=True,
    ),
    "ridge": Kind("sklearn.linear_model", "", "Ridge", {"penalty": ("alpha", 1.0)}, scaled=True),
    "knn": Kind(
        "sklearn.neighbors",
        "KNeighborsClassifier",
        "KNeighborsRegressor",
        {"neighbours": ("n_neighbors", 5)},
        scaled=True,
        seeded=False,
    ),
}


def fit(kind: str, rows: Part, options: Mapping[str, Any], *, seed: int) -> Any:
    """Fit an estimator of `kind` on the only input of `rows`, its label if there is one, else its value.

    InvalidModelError for options or rows that such an estimator can't have.
    """
    found = KINDS[kind]
    unknown = sorted(set(options) - set(found.options))
    if unknown:
        raise InvalidModelError(f"{kind} has no options {unknown}; it has {', '.join(found.options)}")
    name = found.of_values if rows.label is None else found.of_labels
    if not name:
        wanted, others = ("a number", "ridge") if rows.label is None else ("a class", "logistic")
        raise InvalidModelError(f"{kind} can't predict {wanted}; try {others}")
    given = {sklearn: options.get(ours, default) for ours, (sklearn, default) in found.options.items()}
    chance = {"random_state": seed} if found.seeded else {}
    estimator = getattr(import_module(found.module), name)(**given, **chance)
    if found.scaled:
        from sklearn.pipeline import make_pipeline  # noqa: PLC0415 - heavy: only when members are trained
        from sklearn.preprocessing import StandardScaler  # noqa: PLC0415 - as above

        estimator = make_pipeline(StandardScaler(), estimator)
    return estimator.fit(columns(rows), rows.value if rows.label is None else rows.label)


def columns(rows: Part) -> NDArray[np.float32]:
    """Return the rows as estimators take them, [row, column]; InvalidModelError for several inputs."""
    array = rows.inputs[_only_input(rows)]
    return array.reshape(len(array), -1)


def outputs(estimator: Any, rows: Part) -> dict[str, NDArray[Any]]:
    """Return what the estimator itself gives for `rows`, by the names of the file's outputs."""
    if rows.label is None:
        return {VALUE_OUTPUT: estimator.predict(columns(rows)).reshape(-1, 1)}
    return {SCORES_OUTPUT: estimator.predict_proba(columns(rows))}


def parameter_count(estimator: Any) -> int:
    """How many nodes all trees have together, or numbers a linear model: 0 for what keeps the rows."""
    last = estimator[-1] if hasattr(estimator, "steps") else estimator
    if hist_boosting.is_one(last):
        return hist_boosting.node_count(last)
    if hasattr(last, "coef_"):
        return int(np.size(last.coef_) + np.size(last.intercept_))
    trees = np.ravel(np.asarray(getattr(last, "estimators_", []), dtype=object))
    return sum(tree.tree_.node_count for tree in trees)


def save(estimator: Any, path: Path, rows: Part) -> None:
    """Write `estimator`, fitted on `rows`, as an ONNX file that takes rows as they are.

    `label` int64 and `scores` float32 come out, or `value` float32 [row, 1].
    """
    import onnx  # noqa: PLC0415 - heavy: only when members are trained

    model = to_onnx(estimator, rows)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def to_onnx(estimator: Any, rows: Part) -> Any:
    """Return the ONNX model of `estimator`, fitted on `rows`."""
    name = _only_input(rows)
    shape = rows.inputs[name].shape[1:]
    outputs = (VALUE_OUTPUT,) if rows.label is None else (LABEL_OUTPUT, SCORES_OUTPUT)
    write = hist_boosting.to_onnx if hist_boosting.is_one(estimator) else _exported
    model = write(estimator, (_COLUMNS, prod(shape)), outputs, _OPSETS)
    _take_rows(model.graph, name, shape)
    model.producer_name, model.producer_version, model.domain = "unisono", "", ""
    # The exporter lists them in the order of a set, which Python's hash seed decides.
    opsets = sorted(model.opset_import, key=lambda opset: opset.domain)
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    model.doc_string, model.graph.doc_string, model.model_version = "", "", 0
    return model


def _exported(
    estimator: Any, columns: tuple[str, int], outputs: Sequence[str], opsets: Mapping[str, int]
) -> Any:
    """Have skl2onnx write the model, with these columns, a name and how many, and these outputs."""
    from skl2onnx import convert_sklearn  # noqa: PLC0415 - heavy: only when members are trained
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType  # noqa: PLC0415 - heavy: as above

    if len(outputs) == 1:
        final, more = [(outputs[0], FloatTensorType([None, 1]))], {}
    else:
        scores = FloatTensorType([None, len(estimator.classes_)])
        final = [(outputs[0], Int64TensorType([None])), (outputs[1], scores)]
        more = {"options": {id(estimator): {"zipmap": False}}}
    return convert_sklearn(
        estimator,
        name="estimator",
        initial_types=[(columns[0], FloatTensorType([None, columns[1]]))],
        final_types=final,
        target_opset=dict(opsets),
        **more,
    )


def _take_rows(graph: Any, name: str, shape: tuple[int, ...]) -> None:
    """Put a Reshape in front, so that the graph takes rows of `shape` where it took columns."""
    from onnx import TensorProto, helper  # noqa: PLC0415 - heavy: only when members are trained

    graph.initializer.append(helper.make_tensor("columns_shape", TensorProto.INT64, [2], [-1, prod(shape)]))
    nodes = [helper.make_node("Reshape", [name, "columns_shape"], [_COLUMNS], name="flatten"), *graph.node]
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes)
    graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", *shape]))


def _only_input(rows: Part) -> str:
    if len(rows.inputs) != 1:
        raise InvalidModelError(
            f"scikit-learn's estimators take one input; the rows have {sorted(rows.inputs)}: "
            "leave the others out of [data]"
        )
    return next(iter(rows.inputs))
