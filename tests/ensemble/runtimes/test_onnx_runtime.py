"""A member run by ONNX Runtime."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import InvalidModelError, MemberError
from ensemble.runtimes.onnx_runtime import OnnxMember, Way
from ensemble.signature import Signature, TensorSpec
from tests.support.onnx_models import write_constant, write_forest, write_linear

X = TensorSpec("x", "float32", (4,))
Z = TensorSpec("z", "float32", (2,))
SCORES = TensorSpec("scores", "float32", (3,))


def member(path: Path, *inputs: TensorSpec, output: TensorSpec = SCORES) -> OnnxMember:
    return OnnxMember.open(path, name="one", digest="0" * 64, signature=Signature(inputs or (X,), (output,)))


def test_it_scores_rows_in_order_as_contiguous_float32(tmp_path: Path) -> None:
    reference = write_linear(tmp_path / "one.onnx")
    rows = {"x": np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)}

    scores = member(tmp_path / "one.onnx").predict(rows)

    assert scores.dtype == np.float32
    assert scores.flags.c_contiguous
    np.testing.assert_allclose(scores, reference(rows), atol=1e-6)


def test_it_takes_its_inputs_by_name_and_ignores_the_others(tmp_path: Path) -> None:
    reference = write_linear(tmp_path / "one.onnx", {"x": 4, "z": 2})
    random = np.random.default_rng(0)
    rows = {
        "another": np.array(["text", "text"]),
        "z": random.normal(size=(2, 2)).astype(np.float32),
        "x": random.normal(size=(2, 4)).astype(np.float32),
    }

    np.testing.assert_allclose(member(tmp_path / "one.onnx", X, Z).predict(rows), reference(rows), atol=1e-6)


def test_the_signature_says_which_output_the_scores_are(tmp_path: Path) -> None:
    reference = write_forest(tmp_path / "one.onnx")
    rows = {"x": np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)}

    scores = member(tmp_path / "one.onnx", output=TensorSpec("probabilities", "float32", (3,))).predict(rows)

    np.testing.assert_allclose(scores, reference(rows), atol=1e-6)


def test_rows_it_cannot_take_name_the_member(tmp_path: Path) -> None:
    write_constant(tmp_path / "one.onnx", [0.5, 0.25, 0.25])

    with pytest.raises(MemberError, match=r"member 'one' failed on 2 rows: .*index: 1 Got: 5 Expected: 4"):
        member(tmp_path / "one.onnx").predict({"x": np.zeros((2, 5), np.float32)})


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    write_constant(tmp_path / "one.onnx", [0.5, 0.25, 0.25])

    with pytest.raises(MemberError, match=r"member 'one' needs input 'x'; got \['y'\]"):
        member(tmp_path / "one.onnx").predict({"y": np.zeros((2, 4), np.float32)})


def test_scores_that_are_no_row_per_row_are_refused(tmp_path: Path) -> None:
    write_forest(tmp_path / "one.onnx")
    labels = member(tmp_path / "one.onnx", output=TensorSpec("label", "int64", ()))

    with pytest.raises(MemberError, match=r"member 'one' gave shape \(1,\) for 1 rows; want \[row, class\]"):
        labels.predict({"x": np.zeros((2, 4), np.float32)})


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.onnx").write_bytes(b"no model")

    with pytest.raises(InvalidModelError, match="member 'one' can't be opened by ONNX Runtime"):
        member(tmp_path / "one.onnx")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.onnx").touch()

    with pytest.raises(InvalidModelError, match="model file can't be read"):
        member(tmp_path / "one.onnx")


def test_a_signature_of_another_model_is_refused(tmp_path: Path) -> None:
    write_constant(tmp_path / "one.onnx", [0.5, 0.25, 0.25])

    with pytest.raises(
        InvalidModelError, match=r"takes \['x'\] and gives \['scores'\]; its signature says \['z'\]"
    ):
        member(tmp_path / "one.onnx", Z)


def test_a_model_that_takes_no_made_up_rows_runs_row_by_row(tmp_path: Path) -> None:
    # Its axis may have any length as far as the signature knows; the matrix takes four.
    write_constant(tmp_path / "one.onnx", [0.5, 0.25, 0.25])
    one = member(tmp_path / "one.onnx", TensorSpec("x", "float32", (-1,)))

    assert one.way == Way(1, most=1, pinned=True)
    assert one.predict({"x": np.zeros((2, 4), np.float32)}).tolist() == [[0.5, 0.25, 0.25]] * 2


def test_threads_may_share_a_member(tmp_path: Path) -> None:
    reference = write_linear(tmp_path / "one.onnx")
    one = member(tmp_path / "one.onnx")
    batches = [
        {"x": np.random.default_rng(seed).normal(size=(seed + 1, 4)).astype(np.float32)} for seed in range(32)
    ]

    with ThreadPoolExecutor(4) as threads:
        scores = list(threads.map(one.predict, batches))

    for batch, found in zip(batches, scores, strict=True):
        np.testing.assert_allclose(found, reference(batch), atol=1e-6)
