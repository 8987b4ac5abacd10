"""What an ONNX file may hold, its signature, and its names."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ensemble.errors import InvalidModelError
from ensemble.loading import onnx_file
from ensemble.loading.onnx_file import read_signature
from ensemble.signature import Signature, TensorSpec
from tests.support.onnx_models import save_graph, write_forest, write_linear

# A domain that ONNX' checker leaves alone.
OURS = "com.microsoft"
EYE = {"matrix": np.eye(3, dtype=np.float32)}


def identity(path: Path, *, shape: tuple[str | int, ...] = ("rows", 3)) -> None:
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    save_graph(path, nodes, inputs={"x": shape}, outputs={"y": shape}, parameters={})


def edited(path: Path, edit: Callable[[onnx.ModelProto], None]) -> Path:
    identity(path)
    model = onnx.load(path)
    edit(model)
    onnx.save(model, path)
    return path


def test_the_signature_is_the_graphs(tmp_path: Path) -> None:
    write_linear(tmp_path / "two.onnx", {"x": 4, "z": 2})

    assert read_signature(tmp_path / "two.onnx") == Signature(
        (TensorSpec("x", "float32", (4,)), TensorSpec("z", "float32", (2,))),
        (TensorSpec("scores", "float32", (3,)),),
    )


def test_a_forest_has_a_label_and_probabilities(tmp_path: Path) -> None:
    write_forest(tmp_path / "forest.onnx")

    assert read_signature(tmp_path / "forest.onnx").outputs == (
        TensorSpec("label", "int64", ()),
        TensorSpec("probabilities", "float32", (3,)),
    )


def test_parameters_that_are_listed_as_inputs_are_none(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    nodes = [helper.make_node("MatMul", ["x", "matrix"], ["y"])]
    save_graph(
        path, nodes, inputs={"x": ("rows", 3), "matrix": (3, 3)}, outputs={"y": ("rows", 3)}, parameters=EYE
    )

    assert [spec.name for spec in read_signature(path).inputs] == ["x"]


def test_an_axis_of_any_length_is_minus_one(tmp_path: Path) -> None:
    identity(tmp_path / "model.onnx", shape=("rows", "length", 3))

    assert read_signature(tmp_path / "model.onnx").inputs[0].shape == (-1, 3)


def test_a_fixed_rows_axis_is_refused(tmp_path: Path) -> None:
    identity(tmp_path / "model.onnx", shape=(8, 3))

    with pytest.raises(InvalidModelError, match=r"input 'x' of shape \[8, 3\]; its first axis must be free"):
        read_signature(tmp_path / "model.onnx")


def test_outputs_that_are_no_tensors_with_rows_are_refused(tmp_path: Path) -> None:
    def fix_the_output(model: onnx.ModelProto) -> None:
        model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1

    with pytest.raises(
        InvalidModelError, match=r"no output that is a tensor with a free rows axis, among \['y'\]"
    ):
        read_signature(edited(tmp_path / "model.onnx", fix_the_output))


def test_a_type_that_numpy_lacks_is_refused(tmp_path: Path) -> None:
    def make_bfloat16(model: onnx.ModelProto) -> None:
        for put in (model.graph.input[0], model.graph.output[0]):
            put.type.tensor_type.elem_type = TensorProto.BFLOAT16

    with pytest.raises(InvalidModelError, match="has the input 'x'"):
        read_signature(edited(tmp_path / "model.onnx", make_bfloat16))


def test_text_is_called_bytes(tmp_path: Path) -> None:
    def make_text(model: onnx.ModelProto) -> None:
        for put in (model.graph.input[0], model.graph.output[0]):
            put.type.tensor_type.elem_type = TensorProto.STRING

    signature = read_signature(edited(tmp_path / "model.onnx", make_text))

    assert signature.inputs == (TensorSpec("x", "bytes", (3,)),)


def test_operators_of_other_domains_are_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Steal", ["x"], ["y"], domain="evil.ops")]
    path = tmp_path / "model.onnx"
    shape = ("rows", 3)
    save_graph(path, nodes, inputs={"x": shape}, outputs={"y": shape}, parameters={}, domains={"evil.ops": 1})

    with pytest.raises(InvalidModelError, match=r"uses operators of \['evil\.ops'\]"):
        read_signature(path)


def test_operators_of_other_domains_are_found_in_branches(tmp_path: Path) -> None:
    def branch(name: str, operator: str, domain: str) -> onnx.GraphProto:
        made = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node(operator, ["x"], [name], domain=domain)], name, [], [made])

    then, other = branch("then", "Identity", ""), branch("else", "Steal", "evil.ops")
    nodes = [helper.make_node("If", ["flag"], ["y"], then_branch=then, else_branch=other)]
    path, shape = tmp_path / "model.onnx", ("rows", 3)
    flag = {"flag": np.array(True)}
    save_graph(path, nodes, inputs={"x": shape}, outputs={"y": shape}, parameters=flag)

    with pytest.raises(InvalidModelError, match=r"uses operators of \['evil\.ops'\]"):
        read_signature(path)


def test_a_file_that_is_no_message_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\xff\xff\xff")

    with pytest.raises(InvalidModelError, match="is not a valid ONNX model"):
        read_signature(tmp_path / "model.onnx")


def test_parameters_in_another_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    nodes = [helper.make_node("MatMul", ["x", "matrix"], ["y"])]
    save_graph(path, nodes, inputs={"x": ("rows", 3)}, outputs={"y": ("rows", 3)}, parameters=EYE)
    move_out(path)

    with pytest.raises(InvalidModelError, match="keeps 1 of its tensors, such as 'matrix', in another file"):
        read_signature(path)


def move_out(path: Path) -> None:
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "secret.bin"
    path.write_bytes(model.SerializeToString())


def test_what_the_checker_refuses_is_refused(tmp_path: Path) -> None:
    def break_it(model: onnx.ModelProto) -> None:
        model.graph.node[0].input[0] = "nowhere"

    with pytest.raises(InvalidModelError, match=r"is not a valid ONNX model: .*nowhere.*; export it again"):
        read_signature(edited(tmp_path / "model.onnx", break_it))


def test_branches_nested_deeper_than_any_models_are_refused(tmp_path: Path) -> None:
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "inner", [], [])
    for _ in range(17):
        node = helper.make_node("If", ["x"], ["y"], then_branch=graph)
        graph = helper.make_graph([node], "outer", [], [])

    def nest(model: onnx.ModelProto) -> None:
        model.graph.node[0].CopyFrom(graph.node[0])

    with pytest.raises(InvalidModelError, match="nested over 16 deep"):
        read_signature(edited(tmp_path / "deep.onnx", nest))


def with_functions(path: Path, *bodies: list[onnx.NodeProto]) -> Path:
    """Write a model that calls function 0, of these bodies."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(OURS, 1)]

    def add(model: onnx.ModelProto) -> None:
        model.graph.node[0].op_type = "F0"
        model.graph.node[0].domain = OURS
        model.opset_import.append(opsets[1])
        for index, nodes in enumerate(bodies):
            model.functions.append(helper.make_function(OURS, f"F{index}", ["x"], ["y"], nodes, opsets))

    return edited(path, add)


def called(name: str, times: int) -> list[onnx.NodeProto]:
    """A chain of calls of an operator, or of a function `F...`."""
    domain = OURS if name.startswith("F") else ""
    names = ["x", *(f"t{index}" for index in range(times - 1)), "y"]
    return [helper.make_node(name, [names[at]], [names[at + 1]], domain=domain) for at in range(times)]


def test_more_nodes_than_any_model_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "MAX_NODES", 3)

    def make_long(model: onnx.ModelProto) -> None:
        del model.graph.node[:]
        model.graph.node.extend(called("Neg", 4))

    with pytest.raises(InvalidModelError, match=r"has over 3 nodes with its functions written out, .*fewer"):
        read_signature(edited(tmp_path / "long.onnx", make_long))


def test_a_few_functions_that_make_a_million_nodes_are_refused(tmp_path: Path) -> None:
    tens = [called(f"F{index}", 10) for index in range(1, 6)]

    with pytest.raises(InvalidModelError, match="has over 100000 nodes with its functions written out"):
        read_signature(with_functions(tmp_path / "bomb.onnx", *tens, called("Neg", 10)))


def test_a_function_that_calls_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="has over 100000 nodes with its functions written out"):
        read_signature(with_functions(tmp_path / "endless.onnx", called("F0", 1)))


def test_a_foreign_operator_in_a_function_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("Steal", ["x"], ["y"], domain="evil.ops")

    with pytest.raises(InvalidModelError, match=r"uses operators of \['evil\.ops'\]"):
        read_signature(with_functions(tmp_path / "foreign.onnx", [node]))


def test_a_parameter_in_another_file_is_found_in_a_functions_branch(tmp_path: Path) -> None:
    tensor = TensorProto(name="secret", data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    branch = helper.make_graph([helper.make_node("Identity", ["x"], ["z"])], "branch", [], [], [tensor])
    node = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)

    with pytest.raises(InvalidModelError, match="keeps 2 of its tensors, such as 'secret', in another file"):
        read_signature(with_functions(tmp_path / "outside.onnx", [node]))


def test_a_model_with_functions_of_its_own_is_taken(tmp_path: Path) -> None:
    path = with_functions(tmp_path / "model.onnx", called("F1", 2), called("Neg", 3))

    assert read_signature(path).outputs == (TensorSpec("y", "float32", (3,)),)


def test_a_file_larger_than_any_message_is_refused_without_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "large.onnx").open("wb") as file:
        file.truncate(2**31)
    monkeypatch.setattr(onnx, "load", None)

    with pytest.raises(InvalidModelError, match="has 2147483648 bytes; 2147483647 may be in ONNX"):
        read_signature(tmp_path / "large.onnx")
