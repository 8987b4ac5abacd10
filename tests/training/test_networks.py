"""What the networks are: asked in a child process, so that TensorFlow stays out of the tests'."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

NAMES = ("sepconv", "bndense", "bnconv")
TRAIN = """
import sys
from pathlib import Path
from training.train import train
steps = []
(made,) = train(Path(sys.argv[1]), ["bndense"], steps.append, most_epochs=2)
print(made.epochs, made.parameters, [step.epoch for step in steps], made.accuracy > 0.5)
"""


@pytest.fixture(name="facts", scope="module")
def fixture_facts(small_members: Path) -> Any:
    child = [sys.executable, "-m", "tests.training.networks", str(small_members)]
    done = subprocess.run(child, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_sepconv_has_the_parameters_of_the_book(facts: Any) -> None:
    assert facts["sepconv_counts"] == [155, 2400, 0, 4736, 8896, 0, 9408, 8896, 0, 4128, 330]


def test_a_network_takes_images_of_any_size_and_gives_the_classes_asked_for(facts: Any) -> None:
    assert facts["other_shape"] == [None, 4]


def test_bndense_normalises_between_each_of_three_dense_layers_and_its_relu(facts: Any) -> None:
    block = ["Dense", "BatchNormalization", "ReLU"]
    assert facts["bndense_layers"] == ["InputLayer", "Resizing", "Flatten", *block, *block, *block, "Dense"]


def test_bnconv_is_residual_and_normalised(facts: Any) -> None:
    layers = facts["bnconv_layers"]
    assert [layers.count(kind) for kind in ("Conv2D", "BatchNormalization", "Add")] == [9, 6, 3]


@pytest.mark.parametrize("name", NAMES)
def test_every_network_takes_image_and_gives_scores(facts: Any, name: str) -> None:
    assert facts["members"][name]["input"] == ["image", None, 8, 8, 1]
    assert facts["members"][name]["output"] == ["scores", None, 10]
    assert facts["members"][name]["row_sum_error"] < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_exported_to_onnx_every_network_scores_the_same(facts: Any, name: str) -> None:
    assert facts["members"][name]["onnx_error"] <= 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_a_plain_call_of_a_saved_network_is_no_training_step(facts: Any, name: str) -> None:
    assert facts["members"][name]["plain_call_error"] == 0.0
    assert facts["members"][name]["compiled"] is False


def test_the_seed_decides_what_is_learned(facts: Any) -> None:
    first, again, other = facts["training"]
    assert first == again
    assert first != other


def test_training_a_network_says_nothing_on_stderr(tmp_path: Path) -> None:
    child = [sys.executable, "-c", TRAIN, str(tmp_path)]
    done = subprocess.run(child, capture_output=True, text=True, check=False, timeout=240)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout == "2 11210 [0, 1, 2] True\n"


def test_keras_is_not_imported_before_a_network_is_trained() -> None:
    code = "import sys, training.train; print(sorted({'keras', 'tensorflow', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
