"""`.keras` files become ONNX in a child process, with Keras' names and Keras' answers."""

import json
import os
import signal
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import InvalidModelError
from ensemble.loading import convert as converting
from ensemble.loading.convert import Conversion, convert, parity
from ensemble.loading.onnx_file import read_signature
from ensemble.runtimes.onnx_runtime import OnnxMember
from ensemble.signature import Signature, TensorSpec
from tests.support import keras_models
from tests.support.members import Constant

PICTURE = TensorSpec("picture", "float32", (8, 8, 1))
AGE = TensorSpec("age", "float32", (3,))
DIGIT = TensorSpec("digit", "float32", (3,))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keras")
    keras_models.make(folder)
    return folder


@pytest.fixture(scope="module")
def conversions(models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Conversion]:
    names = ("two_inputs", "two_outputs", "resized", "broken")
    files = {name: models / f"{name}.keras" for name in names}
    return convert(files, tmp_path_factory.mktemp("work"))


def opened(conversion: Conversion, output: str) -> OnnxMember:
    chosen = conversion.signature.output(output)
    assert chosen is not None
    signature = Signature(conversion.signature.inputs, (chosen,))
    return OnnxMember.open(conversion.onnx, name="one", digest="0" * 64, signature=signature)


def conversion_of(answers: list[list[float]]) -> Conversion:
    """A conversion whose Keras answered `answers`."""
    rows = {"x": np.zeros((len(answers), 2), np.float32)}
    signature = Signature((TensorSpec("x", "float32", (2,)),), (TensorSpec("scores", "float32", (3,)),))
    return Conversion(signature, Path("none"), "keras 3.0", rows, {"scores": np.array(answers, np.float32)})


def keras_file(path: Path) -> Path:
    """An archive that passes for a `.keras` file until Keras reads it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("config.json", "metadata.json", "model.weights.h5"):
            archive.writestr(name, "{}")
    return path


@pytest.mark.slow
def test_names_and_order_are_keras_own(conversions: dict[str, Conversion]) -> None:
    assert conversions["two_inputs"].signature == Signature((PICTURE, AGE), (DIGIT,))
    assert read_signature(conversions["two_inputs"].onnx) == Signature((PICTURE, AGE), (DIGIT,))


@pytest.mark.slow
def test_a_sequential_models_output_has_its_last_layers_name(conversions: dict[str, Conversion]) -> None:
    assert conversions["broken"].signature == Signature((TensorSpec("x", "float32", (4,)),), (DIGIT,))


@pytest.mark.slow
def test_the_outputs_of_a_dict_have_its_keys(conversions: dict[str, Conversion]) -> None:
    outputs = (TensorSpec("logits", "float32", (3,)), TensorSpec("scores", "float32", (3,)))

    assert conversions["two_outputs"].signature.outputs == outputs
    assert read_signature(conversions["two_outputs"].onnx).outputs == outputs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "output"),
    [("two_inputs", "digit"), ("two_outputs", "scores"), ("two_outputs", "logits"), ("resized", "digit")],
)
def test_the_answers_are_keras_own(conversions: dict[str, Conversion], name: str, output: str) -> None:
    found = parity(conversions[name], opened(conversions[name], output))

    assert found["max_abs_error"] < 1e-6
    assert found["rows"] == 64
    assert found["tolerance"] == 1e-5
    assert found["against"].startswith("keras 3.")


@pytest.mark.slow
def test_batch_norm_after_resizing_is_not_left_in_training_mode(conversions: dict[str, Conversion]) -> None:
    assert opened(conversions["resized"], "digit").spread == 0


@pytest.mark.slow
def test_scores_that_are_not_finite_are_refused(conversions: dict[str, Conversion]) -> None:
    with pytest.raises(InvalidModelError, match="not all are finite"):
        parity(conversions["broken"], opened(conversions["broken"], "digit"))


@pytest.mark.slow
def test_real_rows_are_compared_too_and_tensorflow_stays_in_the_child(models: Path, tmp_path: Path) -> None:
    sample = {"age": np.full((5, 3), 7.0, np.float32), "picture": np.ones((5, 8, 8, 1), np.float32)}

    frameworks = {"tensorflow", "keras"} & set(sys.modules)

    made = convert({"one": models / "two_inputs.keras"}, tmp_path, sample=sample)["one"]

    assert made.rows["age"].shape == (69, 3)
    assert made.rows["age"][-1].tolist() == [7.0, 7.0, 7.0]
    assert parity(made, opened(made, "digit"))["rows"] == 69
    assert {"tensorflow", "keras"} & set(sys.modules) == frameworks


@pytest.mark.slow
def test_what_keras_refuses_is_said_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match=r"member 'bad' can't be converted to ONNX: \w+: "):
        convert({"bad": keras_file(tmp_path / "bad.keras")}, tmp_path / "work")


def test_a_file_that_is_no_keras_file_never_reaches_the_child(tmp_path: Path) -> None:
    (tmp_path / "bad.keras").write_bytes(b"PK")

    with pytest.raises(InvalidModelError, match="is a damaged zip archive"):
        convert({"bad": tmp_path / "bad.keras"}, tmp_path / "work")


def test_nothing_to_convert_starts_no_child(tmp_path: Path) -> None:
    assert convert({}, tmp_path) == {}


def die(folders: list[str], log: str) -> None:
    """Stands in for the child's work: say something, then be killed as by the out-of-memory killer."""
    assert folders
    Path(log).write_text("allocating 7 GiB")
    os.kill(os.getpid(), signal.SIGKILL)


def wait(folders: list[str], log: str) -> None:
    """Stands in for the child's work: never end."""
    assert folders
    assert log
    signal.pause()


def test_a_child_that_is_killed_names_the_member_and_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converting, "_convert_all", die)

    with pytest.raises(
        InvalidModelError,
        match=r"'big' can't be converted to ONNX; the conversion ended with exit code -9: allocating 7 GiB",
    ):
        convert({"big": keras_file(tmp_path / "big.keras")}, tmp_path / "work")


def test_a_child_that_takes_too_long_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converting, "_convert_all", wait)

    with pytest.raises(
        InvalidModelError, match=r"the conversion took over 0\.5 s and was stopped: it printed nothing"
    ):
        convert({"slow": keras_file(tmp_path / "slow.keras")}, tmp_path / "work", timeout_secs=0.5)


def test_scores_up_to_the_tolerance_are_close_enough() -> None:
    found = parity(conversion_of([[0.5, 0.25, 0.25], [0.5, 0.25, 0.2501]]), Constant("one"), tolerance=1e-3)

    assert found["max_abs_error"] == pytest.approx(1e-4, rel=1e-2)
    assert {key: found[key] for key in ("rows", "tolerance", "against")} == {
        "rows": 2,
        "tolerance": 1e-3,
        "against": "keras 3.0",
    }


def test_scores_beyond_the_tolerance_are_refused() -> None:
    with pytest.raises(
        InvalidModelError, match=r"scores differ by 0\.0001 from those of keras 3\.0, and 1e-05 may be"
    ):
        parity(conversion_of([[0.5, 0.25, 0.2501]]), Constant("one"))


def test_large_scores_are_compared_relative_to_their_size() -> None:
    found = parity(conversion_of([[2000.01, 1.0, 1.0]]), Constant("one", (2000.0, 1.0, 1.0)))

    assert found["max_abs_error"] == pytest.approx(5e-6, rel=0.05)


def test_scores_of_another_shape_are_refused() -> None:
    with pytest.raises(InvalidModelError, match=r"scores of shape \(1, 2\), keras 3.0 \(1, 3\)"):
        parity(conversion_of([[0.5, 0.25, 0.25]]), Constant("one", (0.5, 0.5)))


def test_arrays_keep_names_that_no_file_could_have(tmp_path: Path) -> None:
    given = {"file": np.arange(2), "a/b": np.zeros((2, 2)), "../c": np.ones(1)}

    converting._write_arrays(tmp_path / "arrays", given)  # noqa: SLF001 - the seam between the two processes

    assert json.loads((tmp_path / "arrays.json").read_text()) == ["file", "a/b", "../c"]
    assert {
        name: array.tolist()
        for name, array in converting._read_arrays(tmp_path / "arrays").items()  # noqa: SLF001
    } == {"file": [0, 1], "a/b": [[0, 0], [0, 0]], "../c": [1]}
