"""What a file takes becomes what the ensemble has: other names, flat rows, channels first."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from ensemble.errors import InvalidModelError
from ensemble.loading.onnx_file import read_signature
from ensemble.loading.onnx_inputs import laid_out, own_rows, steps_between, take
from ensemble.signature import Signature, TensorSpec
from tests.support.onnx_models import save_graph

IMAGE = TensorSpec("image", "float32", (2, 3, 4))
ROWS = np.arange(48, dtype=np.float32).reshape(2, 2, 3, 4)


def spec(*shape: int, dtype: str = "float32", name: str = "x") -> TensorSpec:
    return TensorSpec(name, dtype, shape)


def write(path: Path, inputs: dict[str, Sequence[int]], nodes: Sequence[Any], outputs: Sequence[int]) -> None:
    save_graph(
        path,
        nodes,
        inputs={name: ("rows", *shape) for name, shape in inputs.items()},
        outputs={"scores": ("rows", *outputs)},
        parameters={},
    )


def run(path: Path, **rows: Any) -> Any:
    [scores] = onnxruntime.InferenceSession(path).run(["scores"], rows)
    return scores


@pytest.mark.parametrize(
    ("given", "wanted", "steps"),
    [
        (IMAGE, spec(2, 3, 4), ()),
        (IMAGE, spec(24), ("reshape",)),
        (spec(24), spec(2, 3, 4), ("reshape",)),
        (IMAGE, spec(4, 2, 3), ("channels-first",)),
        (spec(8, 8, 1), spec(1, 8, 8), ("channels-first",)),
        (spec(3, 3, 3), spec(3, 3, 3), ()),
        (spec(-1), spec(-1), ()),
        (spec(4, dtype="uint8"), spec(4), ()),
        (spec(4), spec(4, dtype="float64"), ()),
    ],
)
def test_what_can_be_laid_out_otherwise(given: TensorSpec, wanted: TensorSpec, steps: tuple[str]) -> None:
    assert steps_between(given, wanted) == steps


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (IMAGE, spec(23)),
        (IMAGE, spec(6, 4)),
        (IMAGE, spec(4, 3, 2)),
        (spec(-1, 3), spec(6)),
        (spec(4, dtype="float64"), spec(4)),
        (spec(4), spec(4, dtype="int64")),
    ],
)
def test_what_cannot_be_is_refused(given: TensorSpec, wanted: TensorSpec) -> None:
    with pytest.raises(InvalidModelError, match=r"input 'x' takes \w+ \[.*\], which can't be made of '\w+'"):
        steps_between(given, wanted)


def test_rows_are_laid_out_in_row_major_order_and_channels_moved() -> None:
    assert laid_out(ROWS, IMAGE, spec(24))[1].tolist() == list(range(24, 48))
    # Of the pixel in line 1, column 2, channel 3.
    assert laid_out(ROWS, IMAGE, spec(4, 2, 3))[0, 3, 1, 2] == ROWS[0, 1, 2, 3]


@pytest.mark.parametrize("own", [(24,), (4, 2, 3), (2, 3, 4)])
def test_the_graph_lays_rows_out_as_numpy_does(tmp_path: Path, own: tuple[int, ...]) -> None:
    nodes = [helper.make_node("Identity", ["x"], ["scores"])]
    write(tmp_path / "own.onnx", {"x": own}, nodes, own)

    signature = Signature((spec(*own),), (spec(*own, name="scores"),))
    found = take(tmp_path / "own.onnx", tmp_path / "taken.onnx", signature, {"x": IMAGE})

    assert found == Signature((IMAGE,), signature.outputs)
    assert read_signature(tmp_path / "taken.onnx").inputs == (IMAGE,)
    np.testing.assert_array_equal(run(tmp_path / "taken.onnx", image=ROWS), laid_out(ROWS, IMAGE, spec(*own)))


def test_inputs_change_names_with_each_other_and_with_inner_tensors(tmp_path: Path) -> None:
    # 2 a - b, through a tensor that has the name of a new input.
    nodes = [
        helper.make_node("Add", ["a", "a"], ["image"]),
        helper.make_node("Sub", ["image", "b"], ["scores"]),
    ]
    write(tmp_path / "own.onnx", {"a": (3,), "b": (3,)}, nodes, (3,))
    signature = Signature((spec(3, name="a"), spec(3, name="b")), (spec(3, name="scores"),))
    taken = {"a": spec(3, name="b"), "b": spec(3, name="image")}

    found = take(tmp_path / "own.onnx", tmp_path / "taken.onnx", signature, taken)

    assert [put.name for put in found.inputs] == ["b", "image"]
    rows = {"b": np.array([[1, 2, 3]], np.float32), "image": np.array([[1, 1, 1]], np.float32)}
    assert run(tmp_path / "taken.onnx", **rows).tolist() == [[1, 3, 5]]
    assert own_rows(rows, signature, taken)["a"].tolist() == [[1, 2, 3]]


def test_an_input_may_be_taken_twice_beside_one_that_stays(tmp_path: Path) -> None:
    nodes = [helper.make_node("Sum", ["image", "flat", "more"], ["scores"])]
    write(tmp_path / "own.onnx", {"image": (4,), "flat": (4,), "more": (4,)}, nodes, (4,))
    puts = tuple(spec(4, name=name) for name in ("image", "flat", "more"))
    signature = Signature(puts, (spec(4, name="scores"),))

    taken = {"flat": spec(4, name="image"), "more": spec(4, name="image")}
    found = take(tmp_path / "own.onnx", tmp_path / "taken.onnx", signature, taken)

    assert found.inputs == (puts[0],)
    assert run(tmp_path / "taken.onnx", image=np.ones((1, 4), np.float32)).tolist() == [[3, 3, 3, 3]]
    with pytest.raises(InvalidModelError, match=r"'image' would be both float32 \[4\] and float32 \[2, 2\]"):
        take(tmp_path / "own.onnx", tmp_path / "no", signature, {"flat": spec(2, 2, name="image")})


def test_parameters_that_old_files_list_among_the_inputs_stay_and_a_file_of_trees_alone_gets_its_opset(
    tmp_path: Path,
) -> None:
    node = helper.make_node("Scaler", ["x"], ["scores"], domain="ai.onnx.ml", offset=[1.0], scale=[2.0])
    put = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["rows", 4])
    listed = helper.make_tensor_value_info("kept", onnx.TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, ["rows", 4])
    kept = numpy_helper.from_array(np.ones(1, np.float32), "kept")
    graph = helper.make_graph([node], "old", [put, listed], [out], [kept])
    opsets = [helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "own.onnx")

    signature = read_signature(tmp_path / "own.onnx")
    take(tmp_path / "own.onnx", tmp_path / "taken.onnx", signature, {"x": spec(2, 2, name="image")})

    assert [found.name for found in onnx.load(tmp_path / "taken.onnx").graph.input] == ["kept", "image"]
    assert run(tmp_path / "taken.onnx", image=np.ones((1, 2, 2), np.float32)).tolist() == [[0, 0, 0, 0]]
