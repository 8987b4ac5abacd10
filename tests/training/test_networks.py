"""What the networks are: asked in a child process, so that TensorFlow stays out of the tests'."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from training.architectures import catalogue

pytestmark = pytest.mark.slow

NAMES = ("sepconv", "bndense", "bnconv")


@pytest.fixture(name="facts", scope="module")
def fixture_facts(small_members: Path) -> Any:
    """One start of TensorFlow for everything that is asked here."""
    child = [sys.executable, "-m", "tests.training.networks", str(small_members)]
    done = subprocess.run(child, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_sepconv_has_the_parameters_of_the_book(facts: Any) -> None:
    assert facts["sepconv_counts"] == [155, 2400, 0, 4736, 8896, 0, 9408, 8896, 0, 4128, 330]


BUILT = {
    "sepconv": (["image"], {"scores": [64, 10]}),
    "bndense": (["image"], {"scores": [64, 10]}),
    "bnconv": (["image"], {"scores": [64, 10]}),
    "xception": (["image"], {"scores": [64, 10]}),
    "densenet": (["image"], {"scores": [64, 10]}),
    "two_inputs": (["image", "profile"], {"scores": [64, 10]}),
    "two_outputs": (["image"], {"scores": [64, 10], "value": [64, 1]}),
}


@pytest.mark.parametrize("name", catalogue.NAMES)
def test_every_architecture_takes_and_gives_what_the_data_have(facts: Any, name: str) -> None:
    built = facts["built"][name]
    assert (built["inputs"], built["outputs"]) == BUILT[name]


def test_a_network_normalises_its_inputs_by_the_training_rows(facts: Any) -> None:
    assert facts["normalised"] == pytest.approx([0, 1, 0, 1], abs=1e-3)


def test_bndense_normalises_between_each_of_three_dense_layers_and_its_relu(facts: Any) -> None:
    block = ["Dense", "BatchNormalization", "Activation"]
    assert facts["bndense_layers"] == [
        "InputLayer",
        "Normalization",
        "Resizing",
        "Flatten",
        *block,
        *block,
        *block,
        "Dense",
    ]


def test_bnconv_is_residual_and_normalised(facts: Any) -> None:
    layers = facts["bnconv_layers"]
    assert [layers.count(kind) for kind in ("Conv2D", "BatchNormalization", "Add")] == [9, 6, 3]


@pytest.mark.parametrize("name", NAMES)
def test_every_network_takes_image_and_gives_scores(facts: Any, name: str) -> None:
    assert facts["members"][name]["input"] == ["image", None, 8, 8, 1]
    assert facts["members"][name]["output"] == ["scores", None, 10]
    assert facts["members"][name]["row_sum_error"] < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_a_plain_call_of_a_saved_network_is_no_training_step(facts: Any, name: str) -> None:
    assert facts["members"][name]["plain_call_error"] == 0.0
    assert facts["members"][name]["compiled"] is False


def test_the_seed_decides_what_is_learned(facts: Any) -> None:
    first, again, other = facts["training"]
    assert first == again
    assert first != other


def test_a_network_is_made_in_as_many_epochs_as_it_may_have(facts: Any) -> None:
    *made, accuracy = facts["made"]
    assert made == [2, 19658, [0, 1, 2]]
    assert accuracy > 0.5


def test_keras_is_not_imported_before_a_network_is_trained() -> None:
    code = "import sys, training.train; print(sorted({'keras', 'tensorflow', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
