"""Members opened on the runtime that was chosen for them."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import InvalidModelError
from ensemble.runtimes.devices import Devices
from ensemble.runtimes.measurements import Measurements
from ensemble.runtimes.onnx_runtime import OnnxMember
from ensemble.runtimes.opening import Opener, installed, open_plainly, opener
from ensemble.runtimes.source import Source
from tests.support.onnx_models import write_linear

from .timed import FAST, SIGNATURE, SLOW, Timed, TimedRuntime


def source(path: Path) -> Source:
    return Source.at(path, name="one", digest="d", signature=SIGNATURE)


@pytest.mark.usefixtures("turned_clock")
def test_a_decision_is_kept_and_not_measured_again(tmp_path: Path) -> None:
    (tmp_path / "model").touch()
    runtimes = {
        "onnxruntime": TimedRuntime(Timed(SLOW)),
        "other": TimedRuntime(Timed(FAST, found={"way": 3})),
    }

    for _ in range(3):
        member = Opener(runtimes, Measurements(tmp_path / "kept"))(source(tmp_path / "model"), 2)
        assert member is runtimes["other"].member

    assert [known for _, _, known in runtimes["onnxruntime"].calls] == [None]
    assert [known for _, _, known in runtimes["other"].calls] == [None, {"way": 3}, {"way": 3}]


@pytest.mark.usefixtures("turned_clock")
def test_another_file_another_wish_of_threads_or_other_runtimes_are_measured_anew(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
    reference, other = TimedRuntime(Timed(SLOW)), TimedRuntime(Timed(FAST))
    measurements = Measurements(tmp_path / "kept")

    Opener({"onnxruntime": reference, "other": other}, measurements)(source(tmp_path / "a"), 1)
    Opener({"onnxruntime": reference, "other": other}, measurements)(source(tmp_path / "a"), 2)
    Opener({"onnxruntime": reference, "other": other}, measurements)(source(tmp_path / "b"), 1)
    Opener({"onnxruntime": reference, "another": other}, measurements)(source(tmp_path / "a"), 1)

    assert [known for _, _, known in reference.calls] == [None] * 4


def test_a_member_that_is_known_is_opened_without_a_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = write_linear(tmp_path / "one.onnx")
    rows = {"x": np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)}
    first = opener("onnxruntime", Measurements(tmp_path / "kept"))(source(tmp_path / "one.onnx"))
    monkeypatch.setattr("ensemble.runtimes.onnx_runtime.spread", None)

    again = opener("onnxruntime", Measurements(tmp_path / "kept"))(source(tmp_path / "one.onnx"))

    assert isinstance(first, OnnxMember)
    assert isinstance(again, OnnxMember)
    assert again.way == first.way
    np.testing.assert_allclose(again.predict(rows), reference(rows), atol=1e-6)


def test_a_runtime_that_is_not_installed_is_named() -> None:
    with pytest.raises(
        InvalidModelError, match=r"runtime 'tpu' is not installed; installed are \['onnxruntime'"
    ):
        opener("tpu", Measurements(None))


def test_every_installed_runtime_runs_a_member_alike(tmp_path: Path) -> None:
    reference = write_linear(tmp_path / "one.onnx")
    rows = {"x": np.random.default_rng(0).normal(size=(257, 4)).astype(np.float32)}
    one = source(tmp_path / "one.onnx")

    for open_on in installed().values():
        np.testing.assert_allclose(open_on(one, threads=2).predict(rows), reference(rows), atol=1e-6)
    for open_member in (opener("auto", Measurements(None)), open_plainly):
        np.testing.assert_allclose(open_member(one, 0).predict(rows), reference(rows), atol=1e-6)


def test_what_is_not_chosen_is_not_imported_again(tmp_path: Path) -> None:
    write_linear(tmp_path / "one.onnx")
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from ensemble.runtimes import choice\n"
        "from ensemble.runtimes.measurements import Measurements\n"
        "from ensemble.runtimes.opening import opener\n"
        "from tests.ensemble.runtimes.test_opening import source\n"
        "choice.WORTH = 0.0\n"
        "opener('auto', Measurements(Path(sys.argv[2])))(source(Path(sys.argv[1])))\n"
        "print('openvino' in sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "one.onnx"), str(tmp_path / "kept")]
    said = [
        subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() for _ in range(2)
    ]
    assert said == [str("openvino" in installed()), "False"]


def test_a_server_that_asks_for_no_other_runtime_does_not_import_one() -> None:
    code = (
        "import sys\n"
        "from ensemble.runtimes.measurements import Measurements\n"
        "from ensemble.runtimes.opening import opener\n"
        "opener('onnxruntime', Measurements(None))\n"
        "assert not {'openvino', 'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_provider_that_is_wished_for_and_not_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reference = write_linear(tmp_path / "one.onnx")
    rows = {"x": np.ones((3, 4), np.float32)}
    monkeypatch.setattr("ensemble.runtimes.opening.available_providers", lambda: ["CPUExecutionProvider"])

    member = opener("onnxruntime", Measurements(None), Devices("cuda", 0.5))(source(tmp_path / "one.onnx"))

    [said] = caplog.messages
    assert said.startswith("ONNX Runtime has no CUDAExecutionProvider here: members run on what it has;")
    np.testing.assert_allclose(member.predict(rows), reference(rows), atol=1e-6)


def test_tensorflow_is_tried_only_where_that_is_said() -> None:
    assert "tensorflow" not in installed()
    assert "openvino" not in installed(Devices("cuda"))


def test_a_member_without_a_keras_original_runs_on_the_reference_and_no_tensorflow_is_imported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if not find_spec("tensorflow"):
        pytest.skip("TensorFlow is an extra")
    write_linear(tmp_path / "one.onnx")
    with caplog.at_level("INFO"):
        wished = opener("tensorflow", Measurements(None))(source(tmp_path / "one.onnx"))
    assert wished.runtime == "onnxruntime"
    assert caplog.messages == ["member one was published as ONNX: it runs on onnxruntime"]

    auto = opener("auto", Measurements(None), try_tensorflow=True)
    tried = {
        plan.plan.runtime: plan.refused for plan in auto.choice(source(tmp_path / "one.onnx")).candidates
    }
    assert tried["tensorflow"] == "member 'one' has no Keras original, which TensorFlow runs"
    assert "tensorflow" not in sys.modules
