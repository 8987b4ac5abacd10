"""The small ONNX models compute what their reference says."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from .onnx_models import Reference, write_constant, write_forest, write_linear


def two_inputs(path: Path) -> Reference:
    return write_linear(path, {"x": 4, "z": 2})


def constant(path: Path) -> Reference:
    return write_constant(path, [0.5, 0.25, 0.25])


@pytest.mark.parametrize("write", [write_linear, two_inputs, constant, write_forest])
def test_the_file_computes_what_the_reference_says(
    tmp_path: Path, write: Callable[[Path], Reference]
) -> None:
    reference = write(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    random = np.random.default_rng(1)
    rows = {
        put.name: random.normal(size=(5, put.shape[1])).astype(np.float32) for put in session.get_inputs()
    }

    scores = session.run([session.get_outputs()[-1].name], rows)[0]

    np.testing.assert_allclose(scores, reference(rows), atol=1e-6)
