import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from training.data.parts import Data
from training.data.sources import digits as load_digits
from training.forest import fit_forest, flatten, node_count, save_forest

SAVE_FIVE_TREES = """
import sys
from pathlib import Path
from training.data.sources import digits
from training.forest import fit_forest, save_forest
save_forest(fit_forest(digits().train, seed=0, trees=5), Path(sys.argv[1]), shape=(8, 8, 1))
"""


@pytest.fixture(name="digits", scope="module")
def fixture_digits() -> Data:
    return load_digits()


@pytest.fixture(name="forest", scope="module")
def fixture_forest(digits: Data) -> Any:
    return fit_forest(digits.train, seed=0, trees=20)


@pytest.fixture(name="file", scope="module")
def fixture_file(forest: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("forest") / "forest.onnx"
    save_forest(forest, path, shape=(8, 8, 1))
    return path


def test_the_onnx_file_scores_as_scikit_learn_does(forest: Any, file: Path, digits: Data) -> None:
    session = onnxruntime.InferenceSession(file)
    label, scores = session.run(["label", "scores"], {"image": digits.test.inputs["image"]})
    expected = forest.predict_proba(flatten(digits.test.inputs["image"]))
    assert (label.dtype, scores.dtype, scores.shape) == (np.int64, np.float32, (360, 10))
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(label, expected.argmax(axis=1))


def test_the_onnx_file_takes_the_images_that_networks_take(file: Path) -> None:
    (image,) = onnxruntime.InferenceSession(file).get_inputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(float)", ["rows", 8, 8, 1])


def test_the_onnx_file_says_unisono_made_it_and_nothing_that_changes(file: Path) -> None:
    model = onnx.load(file)
    assert (model.producer_name, model.producer_version, model.graph.name) == ("unisono", "", "forest")
    assert [opset.domain for opset in model.opset_import] == ["", "ai.onnx.ml"]


def test_the_same_forest_is_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    digests = set()
    for hash_seed in ("0", "1", "2"):
        path = tmp_path / f"{hash_seed}.onnx"
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        subprocess.run([sys.executable, "-c", SAVE_FIVE_TREES, str(path)], env=environment, check=True)
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_a_forest_is_as_large_as_all_its_trees(digits: Data) -> None:
    one, two = (fit_forest(digits.train, seed=0, trees=trees) for trees in (1, 2))
    sizes = [tree.tree_.node_count for tree in two.estimators_]
    assert (node_count(one), node_count(two)) == (sizes[0], sizes[0] + sizes[1])
