"""A member run by OpenVINO."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import InvalidModelError, MemberError
from ensemble.member import Rows
from ensemble.runtimes.source import Source
from ensemble.signature import Signature, TensorSpec
from tests.support.onnx_models import write_convnet, write_forest, write_linear

pytest.importorskip("openvino", reason="OpenVINO is an extra")
from ensemble.runtimes.openvino_runtime import OpenvinoMember

X = TensorSpec("x", "float32", (4,))
IMAGE = TensorSpec("image", "float32", (16, 16, 1))


def opened(path: Path, put: TensorSpec = X, output: str = "scores", classes: int = 3) -> OpenvinoMember:
    signature = Signature((put,), (TensorSpec(output, "float32", (classes,)),))
    return OpenvinoMember.opened(Source.at(path, name="one", digest="d", signature=signature), threads=2)


def test_it_scores_rows_as_contiguous_float32_and_leaves_read_only_rows_alone(tmp_path: Path) -> None:
    reference = write_linear(tmp_path / "one.onnx")
    given = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    rows: Rows = {"x": np.frombuffer(given.tobytes(), np.float32).reshape(7, 4), "other": np.zeros(7)}

    scores = opened(tmp_path / "one.onnx").predict(rows)

    assert scores.dtype == np.float32
    assert scores.flags.c_contiguous
    np.testing.assert_allclose(scores, reference(rows), atol=1e-6)


def test_a_rows_scores_do_not_depend_on_its_batch(tmp_path: Path) -> None:
    write_convnet(tmp_path / "one.onnx")
    one = opened(tmp_path / "one.onnx", IMAGE, classes=10)
    rows = np.random.default_rng(0).random((257, 16, 16, 1), np.float32)
    together = one.predict({"image": rows})

    for size in (1, 3, 16, 64, 65, 128, 257):
        assert one.predict({"image": rows[-size:]}).tobytes() == together[-size:].tobytes()


def test_scores_handed_out_are_not_written_over_by_the_next_call(tmp_path: Path) -> None:
    write_linear(tmp_path / "one.onnx")
    one = opened(tmp_path / "one.onnx")
    first = one.predict({"x": np.zeros((2, 4), np.float32)})
    before = first.copy()

    one.predict({"x": np.ones((2, 4), np.float32)})

    np.testing.assert_array_equal(first, before)


def test_its_threads_may_run_on_any_core_so_that_processes_beside_each_other_do_not_share_one(
    tmp_path: Path,
) -> None:
    write_linear(tmp_path / "one.onnx")
    assert opened(tmp_path / "one.onnx").model.get_property("ENABLE_CPU_PINNING") is False


def test_threads_may_share_a_member(tmp_path: Path) -> None:
    reference = write_linear(tmp_path / "one.onnx")
    one = opened(tmp_path / "one.onnx")
    batches = [
        {"x": np.random.default_rng(seed).normal(size=(seed + 1, 4)).astype(np.float32)} for seed in range(32)
    ]

    with ThreadPoolExecutor(4) as threads:
        scores = list(threads.map(one.predict, batches))

    for batch, found in zip(batches, scores, strict=True):
        np.testing.assert_allclose(found, reference(batch), atol=1e-6)


def test_rows_it_cannot_take_name_the_member(tmp_path: Path) -> None:
    write_linear(tmp_path / "one.onnx")
    one = opened(tmp_path / "one.onnx")

    with pytest.raises(MemberError, match="member 'one' failed on 2 rows"):
        one.predict({"x": np.zeros((2, 5), np.float32)})
    with pytest.raises(MemberError, match=r"member 'one' needs input 'x'; got \['y'\]"):
        one.predict({"y": np.zeros((2, 4), np.float32)})
    assert one.predict({"x": np.zeros((2, 4), np.float32)}).shape == (2, 3)


def test_what_it_cannot_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none.onnx").write_bytes(b"no model")
    write_forest(tmp_path / "forest.onnx")

    with pytest.raises(InvalidModelError, match="member 'one' can't be opened by OpenVINO"):
        opened(tmp_path / "none.onnx")
    with pytest.raises(InvalidModelError, match="member 'one' can't be opened by OpenVINO"):
        opened(tmp_path / "forest.onnx", output="probabilities")


def test_nothing_is_reported_to_anybody_and_no_process_is_forked() -> None:
    code = (
        "import os\n"
        "def fork(): raise SystemExit('forked')\n"
        "os.fork = fork\n"
        "import ensemble.runtimes.openvino_runtime, sys, threading\n"
        "assert sys.modules['openvino_telemetry'] is None\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_signal_after_members_have_gone_does_not_end_the_process(tmp_path: Path) -> None:
    write_linear(tmp_path / "one.onnx")
    code = (
        "import signal, sys\n"
        "from pathlib import Path\n"
        "from tests.ensemble.runtimes.test_openvino_runtime import opened\n"
        "first = opened(Path(sys.argv[1]))\n"
        "second = opened(Path(sys.argv[1]))\n"
        "del first, second\n"
        "others = [bytes(70_000) for _ in range(2000)]\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('told'))\n"
        "signal.raise_signal(signal.SIGTERM)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "one.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "told\n"), done.stderr
