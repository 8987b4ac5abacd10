import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from ensemble.errors import InvalidModelError
from training import estimators
from training.data.parts import Data, Part
from training.data.sources import breast_cancer as load_breast_cancer
from training.data.sources import diabetes as load_diabetes
from training.data.sources import digits as load_digits

SAVE_FIVE_TREES = """
import sys
from pathlib import Path
from training import estimators
from training.data.sources import digits
rows = digits().train
estimators.save(estimators.fit("random-forest", rows, {"trees": 5}, seed=0), Path(sys.argv[1]), rows)
"""
SMALL: dict[str, dict[str, Any]] = {
    "random-forest": {"trees": 20},
    "extra-trees": {"trees": 20},
    "gradient-boosting": {"trees": 5, "depth": 2},
    "hist-gradient-boosting": {"trees": 2, "leaves": 8},
    "logistic": {"freedom": 0.5},
    "ridge": {"penalty": 2.0},
    "knn": {"neighbours": 3},
}


@pytest.fixture(name="digits", scope="module")
def fixture_digits() -> Data:
    return load_digits()


@pytest.fixture(name="file", scope="module")
def fixture_file(digits: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("forest") / "forest.onnx"
    forest = estimators.fit("random-forest", digits.train, SMALL["random-forest"], seed=0)
    estimators.save(forest, path, digits.train)
    return path


@pytest.mark.parametrize("kind", [kind for kind in SMALL if kind != "ridge"])
def test_the_onnx_file_scores_images_as_scikit_learn_does(
    kind: str, digits: Data, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    made = estimators.fit(kind, digits.train, SMALL[kind], seed=0)
    estimators.save(made, tmp_path / "made.onnx", digits.train)

    session = onnxruntime.InferenceSession(tmp_path / "made.onnx")
    label, scores = session.run(["label", "scores"], {"image": digits.test.inputs["image"]})

    expected = estimators.outputs(made, digits.test)["scores"]
    assert (label.dtype, scores.dtype, scores.shape) == (np.int64, np.float32, (360, 10))
    record_property("max_error", f"{np.abs(scores - expected).max():.2g}")
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", [kind for kind in SMALL if kind != "logistic"])
def test_the_onnx_file_gives_values_of_features_as_scikit_learn_does(
    kind: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    data = load_diabetes()
    made = estimators.fit(kind, data.train, SMALL[kind], seed=0)
    estimators.save(made, tmp_path / "made.onnx", data.train)

    session = onnxruntime.InferenceSession(tmp_path / "made.onnx")
    [value] = session.run(["value"], {"features": data.test.inputs["features"]})

    expected = estimators.outputs(made, data.test)["value"]
    assert value.shape == (89, 1)
    record_property("max_relative_error", f"{np.abs(value / expected - 1).max():.2g}")
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_the_onnx_file_takes_the_images_that_networks_take(file: Path) -> None:
    (image,) = onnxruntime.InferenceSession(file).get_inputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(float)", ["rows", 8, 8, 1])


def test_the_onnx_file_says_unisono_made_it_and_nothing_that_changes(file: Path) -> None:
    model = onnx.load(file)
    assert (model.producer_name, model.producer_version, model.graph.name) == ("unisono", "", "estimator")
    assert [opset.domain for opset in model.opset_import] == ["", "ai.onnx.ml"]


def test_the_same_forest_is_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    digests = set()
    for hash_seed in ("1", "2"):
        path = tmp_path / f"{hash_seed}.onnx"
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        subprocess.run([sys.executable, "-c", SAVE_FIVE_TREES, str(path)], env=environment, check=True)
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_histogram_boosting_of_two_classes_goes_its_trees_way_on_thresholds_and_with_missing_values(
    tmp_path: Path,
) -> None:
    rows = load_breast_cancer().train
    rows.inputs["features"][::3, ::4] = np.nan
    made = estimators.fit("hist-gradient-boosting", rows, {"trees": 8, "leaves": 8}, seed=0)
    estimators.save(made, tmp_path / "made.onnx", rows)
    session = onnxruntime.InferenceSession(tmp_path / "made.onnx")
    nodes = np.concatenate([tree.nodes for (tree,) in made._predictors])  # noqa: SLF001 - no public way

    for step in (0, 1, -1):
        features = rows.inputs["features"].copy()
        for node in nodes[nodes["is_leaf"] == 0]:
            near = np.float32(node["num_threshold"])
            features[node["left"] :: 7, node["feature_idx"]] = np.nextafter(near, near + np.float32(step))
        label, scores = session.run(["label", "scores"], {"features": features})

        np.testing.assert_allclose(scores, made.predict_proba(features), rtol=0, atol=1e-6)
        np.testing.assert_array_equal(label, made.predict(features))


def test_histogram_boosting_that_splits_by_category_is_refused(tmp_path: Path) -> None:
    rows = Part({"kind": np.tile(np.arange(4, dtype=np.float32), 50)[:, None]}, np.tile([0, 1, 0, 1], 50))
    made = HistGradientBoostingClassifier(max_iter=2, categorical_features=[0]).fit(
        estimators.columns(rows), rows.label
    )

    with pytest.raises(InvalidModelError, match="trees that split by category can't be written as ONNX"):
        estimators.save(made, tmp_path / "made.onnx", rows)


def test_a_forest_is_as_large_as_all_its_trees(digits: Data) -> None:
    one, two = (estimators.fit("random-forest", digits.train, {"trees": trees}, seed=0) for trees in (1, 2))
    sizes = [tree.tree_.node_count for tree in two.estimators_]
    counts = (estimators.parameter_count(one), estimators.parameter_count(two))
    assert counts == (sizes[0], sizes[0] + sizes[1])


@pytest.mark.parametrize(
    ("kind", "options", "what"),
    [
        ("knn", {"trees": 5}, r"knn has no options \['trees'\]; it has neighbours"),
        ("ridge", {}, "ridge can't predict a class; try logistic"),
    ],
)
def test_what_an_estimator_cannot_do_is_refused(
    digits: Data, kind: str, options: dict[str, Any], what: str
) -> None:
    with pytest.raises(InvalidModelError, match=what):
        estimators.fit(kind, digits.train, options, seed=0)


def test_rows_of_two_inputs_are_refused(digits: Data) -> None:
    rows = Part({**digits.train.inputs, "profile": np.zeros((1, 2), np.float32)}, digits.train.label)

    with pytest.raises(InvalidModelError, match=r"take one input; the rows have \['image', 'profile'\]"):
        estimators.fit("knn", rows, {}, seed=0)
    with pytest.raises(InvalidModelError, match="logistic can't predict a number; try ridge"):
        estimators.fit("logistic", load_diabetes().train, {}, seed=0)
