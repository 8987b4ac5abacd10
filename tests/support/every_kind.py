"""A member of every kind that is taken, and what its own library gives for the rows that it is asked.

`make` writes their files and publishes them in four ensembles, by what they take and give.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray
from onnx import helper

from ensemble.publishing.publish import PublishOptions, publish
from model_store.store import Store
from tests.support import architectures, native_models, pytorch
from tests.support.onnx_models import save_graph
from training import estimators
from training.architectures import catalogue
from training.data.parts import Part

ROWS = 48
# Enough that each estimator has something to say, and few enough to fit in a moment.
LEARNT = 500
QUICK: Mapping[str, Mapping[str, Any]] = {
    "random-forest": {"trees": 20},
    "extra-trees": {"trees": 20},
    "gradient-boosting": {"trees": 5},
    "hist-gradient-boosting": {"trees": 2, "leaves": 8},
    "logistic": {},
    "ridge": {},
    "knn": {},
}
BOOSTED = {"lightgbm": ".txt", "xgboost-json": ".json", "xgboost-ubj": ".ubj"}
CLASSES = {"iris": ("setosa", "versicolor", "virginica"), "cancer": ("malignant", "benign")}


@dataclass(frozen=True, slots=True)
class Kind:
    """A member: its file, the rows it is asked, and the scores that its own library gives for them.

    `of` is what it is in words; `options` are `PublishOptions` that it needs, its part of them.
    """

    ensemble: str
    name: str
    of: str
    file: Path
    rows: Mapping[str, NDArray[Any]]
    native: NDArray[Any]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """The name that a server has for it."""
        return f"{self.ensemble}.{self.name}"

    @property
    def votes(self) -> bool:
        """Whether it is asked the same rows as the others, and so counts in the average."""
        return not self.name.startswith("pytorch")


def make(folder: Path) -> list[Kind]:
    """Write the file of every kind below `folder`."""
    digits = _part("digits", image=(8, 8, 1))
    rows = {name: _asked(array) for name, array in digits.inputs.items()}
    rows["table"] = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
    np.savez(folder / "rows.npz", allow_pickle=False, **rows)
    kinds = [*_networks(folder, rows), *_pytorch()]
    kinds += _estimators(folder, "digits", digits)
    kinds += _estimators(folder, "values", _part("value", features=(10,)))
    flat = {"inputs": {"features": "image"}}
    answer = native_models.write_lightgbm(folder / "flat.txt", "digits")
    given = {"image": rows["image"]}
    native = answer(rows["image"].reshape(ROWS, -1))
    kinds.append(Kind("digits", "lightgbm", "LightGBM, on images", folder / "flat.txt", given, native, flat))
    for ensemble, task in (("iris", "classes"), ("cancer", "two-classes"), ("values", "value")):
        kinds += _boosted(folder, ensemble, task)
    return [*kinds, _turned(folder), _one_column(folder)]


def put(store: Store, kinds: list[Kind]) -> None:
    """Publish them, alike in weight where they vote."""
    for ensemble in dict.fromkeys(kind.ensemble for kind in kinds):
        members = [kind for kind in kinds if kind.ensemble == ensemble]
        voters = sum(kind.votes for kind in members)
        options: dict[str, Any] = {
            "allowed": frozenset({"h5", "saved_model"}),
            "classes": CLASSES.get(ensemble),
        }
        for kind in members:
            for key, value in kind.options.items():
                options.setdefault(key, {})[kind.name] = value
        weights = {kind.name: kind.votes / voters for kind in members}
        files = {kind.name: kind.file for kind in members}
        publish(store, ensemble, files, PublishOptions(weights=weights, **options))


def write_rows(folder: Path, kinds: list[Kind]) -> None:
    """Write MODEL.npz for each member and each ensemble: the rows to ask, and the scores `expected`."""
    folder.mkdir()
    for kind in kinds:
        np.savez(folder / f"{kind.model}.npz", allow_pickle=False, **kind.rows, expected=kind.native)
    for ensemble in dict.fromkeys(kind.ensemble for kind in kinds):
        voters = [kind for kind in kinds if kind.ensemble == ensemble and kind.votes]
        rows = {name: array for kind in voters for name, array in kind.rows.items()}
        expected = np.mean([kind.native for kind in voters], axis=0)
        np.savez(folder / f"{ensemble}.npz", allow_pickle=False, **rows, expected=expected)


def _part(task: str, **shape: tuple[int, ...]) -> Part:
    """Return scikit-learn's rows for `task` under the name and in the shape of `shape`."""
    features, targets = native_models.rows_of(task)
    [(name, sizes)] = shape.items()
    inputs = {name: features.reshape(len(features), *sizes)[:LEARNT]}
    if task == "value":
        return Part(inputs, value=targets[:LEARNT].astype(np.float32))
    return Part(inputs, targets[:LEARNT])


def _asked(rows: NDArray[Any]) -> NDArray[Any]:
    """Return some of the rows, from first to last."""
    return rows[:: len(rows) // ROWS][:ROWS]


def _networks(folder: Path, rows: Mapping[str, NDArray[Any]]) -> Iterator[Kind]:
    files = architectures.make(folder, (*catalogue.NAMES, architectures.LAYERS))
    for name in catalogue.NAMES:
        with np.load(folder / f"{name}.npz", allow_pickle=False) as outputs:
            answers = dict(outputs)
        given = {key: rows[key] for key in ("image", "table") if key == "image" or name == "two_inputs"}
        chosen = {"outputs": "scores"} if name == "two_outputs" else {}
        scores = answers["scores"]
        yield Kind("digits", name, "Keras", files[name], given, scores, chosen)
        if name == "two_outputs":
            yield Kind("values", name, "Keras", files[name], given, answers["value"], {"outputs": "value"})
        if name == architectures.SAVED_TWICE:
            yield Kind("digits", "h5", "Keras, HDF5", folder / f"{name}.h5", given, scores)
            yield Kind("digits", "saved_model", "TensorFlow, SavedModel", folder / name, given, scores)


def _pytorch() -> Iterator[Kind]:
    rows, scores = pytorch.answers("conv")
    images = {"image": np.ascontiguousarray(np.moveaxis(rows["image"], 1, 3))}
    options = {"inputs": {"image": "image"}}
    yield Kind("digits", "pytorch", "PyTorch, on images", pytorch.model("conv"), images, scores, options)
    rows, logits = pytorch.answers("dense")
    powers = np.exp(logits.astype(np.float64))
    native = powers / powers.sum(axis=1, keepdims=True)
    yield Kind(
        "cancer", "pytorch", "PyTorch, logits", pytorch.model("dense"), rows, native, {"kinds": "logits"}
    )


def _estimators(folder: Path, ensemble: str, part: Part) -> Iterator[Kind]:
    rows = {name: _asked(array) for name, array in part.inputs.items()}
    for kind, options in QUICK.items():
        if kind == ("ridge" if part.label is not None else "logistic"):
            continue
        made = estimators.fit(kind, part, options, seed=0)
        file = folder / f"{ensemble}-{kind}.onnx"
        estimators.save(made, file, part)
        [native] = estimators.outputs(made, Part(rows, part.label, part.value)).values()
        yield Kind(ensemble, kind, "scikit-learn", file, rows, native)


def _boosted(folder: Path, ensemble: str, task: str) -> Iterator[Kind]:
    features, _ = native_models.rows_of(task)
    rows = {"features": _asked(features)}
    for name, ending in BOOSTED.items():
        write = native_models.write_lightgbm if ending == ".txt" else native_models.write_xgboost
        file = folder / f"{ensemble}{ending}"
        library = "LightGBM" if ending == ".txt" else f"XGBoost, {ending}"
        yield Kind(ensemble, name, library, file, rows, write(file, task)(rows["features"]))


def _turned(folder: Path) -> Kind:
    """A member that was trained with the classes in another order than the ensemble has."""
    features, targets = native_models.rows_of("classes")
    options = {"objective": "multiclass", "num_class": 3, "verbose": -1, "num_threads": 1, "seed": 0}
    booster = lightgbm.train(options, lightgbm.Dataset(features, 2 - targets), 10)
    booster.save_model(folder / "turned.txt")
    rows = _asked(features)
    order = {"member_classes": CLASSES["iris"][::-1]}
    native = booster.predict(rows, num_threads=1)[:, ::-1]
    return Kind(
        "iris", "turned", "LightGBM, other order", folder / "turned.txt", {"features": rows}, native, order
    )


def _one_column(folder: Path) -> Kind:
    """A network with one column, the second class's sigmoid."""
    features, _ = native_models.rows_of("two-classes")
    matrix = (np.random.default_rng(0).normal(size=(30, 1)) / 1000).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["features", "matrix"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["scores"]),
    ]
    save_graph(
        folder / "sigmoid.onnx",
        nodes,
        inputs={"features": ("rows", 30)},
        outputs={"scores": ("rows", 1)},
        parameters={"matrix": matrix},
    )
    rows = _asked(features)
    second = 1 / (1 + np.exp(-(rows.astype(np.float64) @ matrix)))
    native = np.concatenate([1 - second, second], axis=1)
    return Kind("cancer", "sigmoid", "numpy, one column", folder / "sigmoid.onnx", {"features": rows}, native)
