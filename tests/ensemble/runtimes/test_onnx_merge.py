"""Several ONNX models as one."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ensemble.errors import InvalidModelError
from ensemble.runtimes.onnx_merge import merge, output_name
from tests.support.onnx_models import save_graph, write_constant, write_convnet, write_forest, write_linear

X: NDArray[np.float32] = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)


def run(model: bytes, **rows: NDArray[np.float32]) -> dict[str, Any]:
    onnx.checker.check_model(onnx.load_from_string(model))
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [put.name for put in session.get_outputs()]
    return dict(zip(names, session.run(names, rows), strict=True))


def test_each_model_keeps_its_answer_and_the_input_is_shared(tmp_path: Path) -> None:
    references = {name: write_linear(tmp_path / name, seed=seed) for seed, name in enumerate(("a", "b"))}
    merged = merge(
        {name: (tmp_path / name).read_bytes() for name in references}, dict.fromkeys("ab", "scores")
    )

    scores = run(merged, x=X)

    assert set(scores) == {"a//scores", "b//scores"}
    for name, reference in references.items():
        np.testing.assert_allclose(scores[output_name(name)], reference({"x": X}), atol=1e-6)


def test_models_may_take_different_inputs(tmp_path: Path) -> None:
    write_linear(tmp_path / "a", {"x": 4, "z": 2})
    write_linear(tmp_path / "b", {"x": 4})
    z = X[:, :2]

    merged = merge({name: (tmp_path / name).read_bytes() for name in "ab"}, dict.fromkeys("ab", "scores"))

    alone = onnxruntime.InferenceSession(tmp_path / "a").run(["scores"], {"x": X, "z": z})[0]
    assert run(merged, x=X, z=z)["a//scores"].tobytes() == alone.tobytes()


def test_a_tensor_inside_one_model_may_be_named_like_the_input_of_another(tmp_path: Path) -> None:
    write_linear(tmp_path / "a", {"x": 4})
    write_linear(tmp_path / "b", {"x_part": 4})

    merged = merge({name: (tmp_path / name).read_bytes() for name in "ab"}, dict.fromkeys("ab", "scores"))

    assert set(run(merged, x=X, x_part=X)) == {"a//scores", "b//scores"}


def test_outputs_that_are_not_scores_are_left_out(tmp_path: Path) -> None:
    reference = write_forest(tmp_path / "forest")

    scores = run(merge({"f": (tmp_path / "forest").read_bytes()}, {"f": "probabilities"}), x=X)

    assert set(scores) == {"f//scores"}
    np.testing.assert_allclose(scores["f//scores"], reference({"x": X}), atol=1e-6)


def test_a_convnet_gives_the_same_bits_merged_with_another(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).random((17, 16, 16, 1), np.float32)
    for seed, name in enumerate("ab"):
        write_convnet(tmp_path / name, seed=seed)

    merged = run(
        merge({name: (tmp_path / name).read_bytes() for name in "ab"}, dict.fromkeys("ab", "scores")),
        image=rows,
    )

    for name in "ab":
        alone = onnxruntime.InferenceSession(tmp_path / name).run(["scores"], {"image": rows})[0]
        assert merged[output_name(name)].tobytes() == alone.tobytes()


def test_branches_that_read_tensors_around_them_are_renamed_with_them(tmp_path: Path) -> None:
    put = helper.make_tensor_value_info("branched", TensorProto.FLOAT, None)
    branches = {
        f"{branch}_branch": helper.make_graph(
            [helper.make_node(op, ["x", "two"], ["branched"])], branch, [], [put]
        )
        for branch, op in (("then", "Mul"), ("else", "Add"))
    }
    save_graph(
        tmp_path / "a",
        [
            helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
            helper.make_node("Greater", ["sum", "zero"], ["positive"]),
            helper.make_node("If", ["positive"], ["scores"], **branches),
        ],
        inputs={"x": ("rows", 4)},
        outputs={"scores": ("rows", 4)},
        parameters={"two": np.array(2, np.float32), "zero": np.array(0, np.float32)},
    )
    write_constant(tmp_path / "b", [0.5, 0.5])
    ones = np.ones((1, 4), np.float32)

    merged = merge({name: (tmp_path / name).read_bytes() for name in "ab"}, dict.fromkeys("ab", "scores"))

    assert run(merged, x=ones)["a//scores"].tolist() == [[2, 2, 2, 2]]
    assert run(merged, x=-ones)["a//scores"].tolist() == [[1, 1, 1, 1]]


def test_an_input_with_a_default_becomes_a_parameter(tmp_path: Path) -> None:
    write_linear(tmp_path / "a")
    model = onnx.load(tmp_path / "a")
    model.graph.input.append(helper.make_tensor_value_info("bias", TensorProto.FLOAT, [3]))
    alone = onnxruntime.InferenceSession(tmp_path / "a").run(["scores"], {"x": X})[0]

    assert run(merge({"a": model.SerializeToString()}, {"a": "scores"}), x=X)["a//scores"].tobytes() == (
        alone.tobytes()
    )


def test_sparse_parameters_are_renamed(tmp_path: Path) -> None:
    write_linear(tmp_path / "a")
    model = onnx.load(tmp_path / "a")
    values = numpy_helper.from_array(np.array([3.0], np.float32), "matrix")
    indices = numpy_helper.from_array(np.array([1], np.int64), "places")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))

    merged = onnx.load_from_string(merge({"a": model.SerializeToString()}, {"a": "scores"}))

    assert merged.graph.sparse_initializer[0].values.name == "a/matrix"


def test_models_that_need_different_operator_sets_are_refused(tmp_path: Path) -> None:
    write_linear(tmp_path / "a")
    write_forest(tmp_path / "b")
    models = {name: (tmp_path / name).read_bytes() for name in "ab"}

    with pytest.raises(InvalidModelError, match="need different operator sets"):
        merge(models, {"a": "scores", "b": "probabilities"})


def test_a_model_with_functions_of_its_own_is_refused(tmp_path: Path) -> None:
    write_linear(tmp_path / "a")
    model = onnx.load(tmp_path / "a")
    model.functions.add(name="mine", domain="mine")

    with pytest.raises(InvalidModelError, match="model 'a' has field 25: it can't be merged"):
        merge({"a": model.SerializeToString()}, {"a": "scores"})


def test_a_model_that_gives_back_its_input_is_refused(tmp_path: Path) -> None:
    write_linear(tmp_path / "a")

    with pytest.raises(InvalidModelError, match="model 'a' gives back its input 'x'"):
        merge({"a": (tmp_path / "a").read_bytes()}, {"a": "x"})


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    write_linear(tmp_path / "a")

    with pytest.raises(InvalidModelError, match="is not UTF-8: b'xfull"):
        merge({"a": (tmp_path / "a").read_bytes().replace(b"x_part", b"xfull\xff")}, {"a": "scores"})


@given(st.data())
def test_a_damaged_model_is_merged_or_refused_with_our_error(data: st.DataObject) -> None:
    model = bytearray(
        helper.make_model(
            helper.make_graph(
                [helper.make_node("Relu", ["x"], ["scores"])],
                "g",
                [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])],
                [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 4])],
            )
        ).SerializeToString()
    )
    model[data.draw(st.integers(0, len(model) - 1))] = data.draw(st.integers(0, 255))

    with suppress(InvalidModelError):
        merge({"a": bytes(model[: data.draw(st.integers(0, len(model)))])}, {"a": "scores"})
