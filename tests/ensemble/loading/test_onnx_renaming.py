"""A graph's inputs and outputs get the names and the order that a signature says."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from ensemble.errors import InvalidModelError
from ensemble.loading.onnx_file import read_signature, rename
from ensemble.signature import Signature, TensorSpec
from tests.support.onnx_models import write_linear


def test_renaming_gives_names_and_order_and_keeps_the_answers(tmp_path: Path) -> None:
    source, target = tmp_path / "source.onnx", tmp_path / "target.onnx"
    reference = write_linear(source, {"x": 4, "z": 2}, output="Identity:0")
    # "x_part" is the name of an inner tensor: it must give way.
    wanted = Signature(
        (TensorSpec("z", "float32", (2,)), TensorSpec("x", "float32", (4,))),
        (TensorSpec("x_part", "float32", (3,)),),
    )

    rename(source, wanted, target)

    assert read_signature(target) == wanted
    random = np.random.default_rng(0)
    rows = {
        "x": random.normal(size=(3, 4)).astype(np.float32),
        "z": random.normal(size=(3, 2)).astype(np.float32),
    }
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(["x_part"], rows)[0], reference(rows), atol=1e-6)


def test_inputs_whose_names_the_exporter_lost_keep_their_order(tmp_path: Path) -> None:
    source, target = tmp_path / "source.onnx", tmp_path / "target.onnx"
    write_linear(source, {"args_0": 4, "args_1": 2})
    wanted = Signature(
        (TensorSpec("x", "float32", (4,)), TensorSpec("z", "float32", (2,))),
        (TensorSpec("scores", "float32", (3,)),),
    )

    rename(source, wanted, target)

    assert read_signature(target) == wanted


@pytest.mark.parametrize(
    ("inputs", "outputs", "what"),
    [
        (("x", "z"), ("scores",), r"has the inputs \['x'\]; the model has \['x', 'z'\]"),
        (("x",), ("scores", "more"), r"has the outputs \['scores'\]; the model has \['scores', 'more'\]"),
    ],
)
def test_renaming_refuses_another_models_signature(
    tmp_path: Path, inputs: tuple[str, ...], outputs: tuple[str, ...], what: str
) -> None:
    write_linear(tmp_path / "source.onnx")
    wanted = Signature(
        tuple(TensorSpec(name, "float32", (4,)) for name in inputs),
        tuple(TensorSpec(name, "float32", (3,)) for name in outputs),
    )

    with pytest.raises(InvalidModelError, match=what):
        rename(tmp_path / "source.onnx", wanted, tmp_path / "target.onnx")
