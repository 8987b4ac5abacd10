from math import erf
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from ensemble.loading.onnx_repair import repair
from ensemble.runtimes.onnx_runtime import OnnxMember
from ensemble.signature import TensorSpec
from tests.support.members import signature_of
from tests.support.onnx_models import save_graph

SHAPE = ("rows", 3)


def test_erfc_is_computed_as_one_less_erf(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    save_graph(
        path,
        [helper.make_node("Identity", ["x"], ["x2"]), helper.make_node("Erf", ["x2"], ["scores"])],
        inputs={"x": SHAPE}, outputs={"scores": SHAPE}, parameters={},
    )  # fmt: skip
    made = onnx.load(path)
    made.graph.node[1].op_type = "Erfc"
    repair(made.graph)
    onnx.save(made, path)
    onnx.checker.check_model(made)
    member = OnnxMember.open(
        path, name="m", digest="", signature=signature_of(TensorSpec("x", "float32", (3,)))
    )

    x = np.linspace(-4, 4, 9, dtype=np.float32).reshape(3, 3)
    expected = np.vectorize(lambda value: 1 - erf(value))(x.astype(np.float64))
    np.testing.assert_allclose(member.predict({"x": x}), expected, atol=2e-7)


def test_an_operator_of_that_name_from_elsewhere_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    nodes = [helper.make_node("Erf", ["x"], ["scores"])]
    save_graph(path, nodes, inputs={"x": SHAPE}, outputs={"scores": SHAPE}, parameters={})
    made = onnx.load(path)
    made.graph.node[0].op_type, made.graph.node[0].domain = "Erfc", "my.library"
    repair(made.graph)

    assert [(node.op_type, node.domain) for node in made.graph.node] == [("Erfc", "my.library")]
