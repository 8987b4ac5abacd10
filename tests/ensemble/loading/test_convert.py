"""`.keras` files become ONNX in a child process, with Keras' names and Keras' answers."""

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
from ensemble.loading.formats import Format
from ensemble.loading.golden import Golden
from ensemble.loading.load import load_servable
from ensemble.loading.onnx_file import read_signature
from ensemble.loading.saved_model import pack
from ensemble.publishing.publish import PublishOptions, publish
from ensemble.runtimes.onnx_runtime import OnnxMember
from ensemble.signature import Signature, TensorSpec
from model_store.store import Store
from tests.support import keras_models
from tests.support.members import Constant

FORMATS: tuple[Format, ...] = ("h5", "saved_model")
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
    files |= {"h5": models / "two_inputs.h5", "saved_model": tmp_path_factory.mktemp("packed") / "model"}
    pack(models / "two_inputs", files["saved_model"])
    return convert(files, tmp_path_factory.mktemp("work"), formats={name: name for name in FORMATS})


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
@pytest.mark.parametrize(
    ("name", "inputs", "output", "origin"),
    [
        ("h5", (PICTURE, AGE), DIGIT, "keras 3."),
        # By name, and the output is called what the export calls it.
        ("saved_model", (AGE, PICTURE), TensorSpec("output_0", "float32", (3,)), "tensorflow 2."),
    ],
)
def test_the_optional_formats_keep_signature_and_answers(
    conversions: dict[str, Conversion],
    name: str,
    inputs: tuple[TensorSpec, ...],
    output: TensorSpec,
    origin: str,
) -> None:
    made, keras = conversions[name], conversions["two_inputs"]

    assert made.signature == Signature(inputs, (output,))
    found = parity(made, opened(made, output.name))
    assert found["max_abs_error"] < 1e-6
    assert found["against"].startswith(origin)
    # They are the same model.
    scores = opened(made, output.name).predict(keras.rows)
    np.testing.assert_allclose(scores, keras.answers["digit"], atol=1e-6)


@pytest.mark.slow
def test_files_that_were_allowed_are_compared_on_real_rows_too_published_and_loaded(
    models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store.open(str(tmp_path / "store"))
    files = {"old": models / "two_inputs.h5", "folder": models / "two_inputs"}
    sample = {"age": np.full((5, 3), 7.0, np.float32), "picture": np.ones((5, 8, 8, 1), np.float32)}
    frameworks = {"tensorflow", "keras"} & set(sys.modules)

    publish(store, "pair", files, PublishOptions(allowed=frozenset(FORMATS), sample=sample))

    # TensorFlow stays in the child.
    assert {"tensorflow", "keras"} & set(sys.modules) == frameworks
    manifest = store.manifest("pair")
    assert [member.format for member in manifest.members] == ["h5", "saved_model"]
    assert [member.derived["onnx"].parity["rows"] for member in manifest.members] == [69, 69]
    assert all(member.derived["onnx"].parity["max_abs_error"] <= 1e-5 for member in manifest.members)
    assert "member old is taken because --allow-h5 was given" in caplog.text
    assert "member folder is taken because --allow-saved-model was given" in caplog.text
    golden = Golden.read(store, manifest)
    assert golden is not None
    # They are the same model.
    np.testing.assert_allclose(golden.members["old"], golden.members["folder"], atol=1e-6)
    np.testing.assert_allclose(load_servable(store, "pair").score(golden.rows), golden.scores, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(
    os.environ.get("UNISONO_PROOF") != "whole", reason="one more start of TensorFlow: `make proof` runs it"
)
def test_a_saved_model_that_reads_a_file_is_refused_though_allowed(models: Path, tmp_path: Path) -> None:
    pack(models / "reader", tmp_path / "reader")

    with pytest.raises(InvalidModelError, match=r"has the operations \['ReadFile', 'StringLength'\]"):
        convert({"evil": tmp_path / "reader"}, tmp_path / "work", formats={"evil": "saved_model"})


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


def test_what_the_child_refuses_is_said_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidModelError, match=r"member 'bad' can't be converted to ONNX: \w+: model.weights.h5 is"
    ):
        convert({"bad": keras_file(tmp_path / "bad.keras")}, tmp_path / "work")


def test_where_keras_is_not_installed_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "ensemble.loading.keras_export", raising=False)
    monkeypatch.delitem(sys.modules, "ensemble.loading.weights_file", raising=False)
    monkeypatch.delitem(sys.modules, "ensemble.loading.h5_file", raising=False)
    monkeypatch.setitem(sys.modules, "h5py", None)
    folder = tmp_path / "0"
    folder.mkdir()
    keras_file(folder / "model.keras")

    with pytest.raises(InvalidModelError, match=r"it takes h5py: pip install 'unisono\[keras\]'"):
        converting._convert_one(folder)  # noqa: SLF001 - the child's own part


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
