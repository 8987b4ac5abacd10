"""Runtimes, chosen by measuring."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import InvalidModelError
from ensemble.member import Member, Rows, Scores
from ensemble.runtimes import trial
from ensemble.runtimes.choice import Candidate, Choice, Chooser, cache_folder, compare, installed, opener
from ensemble.runtimes.onnx_runtime import OnnxMember
from ensemble.signature import Signature, TensorSpec
from tests.support.members import Constant
from tests.support.onnx_models import write_linear

SIGNATURE = Signature((TensorSpec("x", "float32", (4,)),), (TensorSpec("scores", "float32", (3,)),))
FAST, SLOW = 0.0001, 0.003


# What time it is, in seconds: real time would make the tests depend on what else runs here.
CLOCK = [0.0]


@pytest.fixture(autouse=True)
def _turned_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "perf_counter", lambda: CLOCK[0])


@dataclass(frozen=True)
class Timed:
    """Gives `scores` to every row, after `seconds` of the clock that the tests turn."""

    seconds: float
    scores: tuple[float, ...] = (0.5, 0.25, 0.25)
    signature: Signature = SIGNATURE
    name: str = "one"
    digest: str = "d"

    def predict(self, rows: Rows) -> Scores:
        CLOCK[0] += self.seconds
        return Constant("one", self.scores).predict(rows)


class Runtime:
    """Opens `member`, and remembers each time."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.calls: list[tuple[object, ...]] = []

    @property
    def opened(self) -> int:
        return len(self.calls)

    def __call__(
        self, path: Path, *, name: str, digest: str, signature: Signature, threads: int = 0
    ) -> Member:
        self.calls.append((path, name, digest, signature, threads))
        return self.member


def refusing() -> Member:
    raise InvalidModelError("not this one")


def chosen(other: Callable[[], Member], reference: float = SLOW) -> Choice:
    return compare({"onnxruntime": lambda: Timed(reference), "other": other})


def test_a_runtime_that_is_clearly_faster_is_taken() -> None:
    choice = chosen(lambda: Timed(FAST))

    assert choice.runtime == "other"
    assert set(choice.candidates["other"].seconds) == {1, 16}
    assert choice.candidates["other"].max_error == 0.0


def test_a_runtime_that_is_hardly_faster_is_not() -> None:
    assert chosen(lambda: Timed(SLOW * 0.95)).runtime == "onnxruntime"


def test_a_fast_runtime_with_other_scores_is_refused_with_how_far_they_are() -> None:
    choice = chosen(lambda: Timed(FAST, (0.5, 0.25, 0.25002)))

    assert choice.runtime == "onnxruntime"
    assert choice.candidates["other"].max_error == pytest.approx(2e-5, rel=0.01)
    assert choice.candidates["other"].refused == "scores are 2e-05 from onnxruntime's; 1e-05 may be"


def test_scores_that_differ_by_rounding_are_the_same() -> None:
    assert chosen(lambda: Timed(FAST, (0.5, 0.25, 0.250001))).runtime == "other"


def test_a_runtime_that_cannot_run_the_member_is_left_out_with_its_reason() -> None:
    choice = chosen(refusing)

    assert choice.runtime == "onnxruntime"
    assert choice.candidates["other"] == Candidate(refused="not this one")


def test_what_the_reference_cannot_run_is_an_error() -> None:
    with pytest.raises(InvalidModelError, match="not this one"):
        compare({"onnxruntime": refusing, "other": lambda: Timed(FAST)})


def test_without_rows_to_try_the_reference_is_taken() -> None:
    text = Signature((TensorSpec("x", "bytes", ()),), SIGNATURE.outputs)

    assert (
        compare({"onnxruntime": lambda: Timed(SLOW, signature=text), "other": refusing}).runtime
        == "onnxruntime"
    )


def test_a_decision_is_kept_and_not_measured_again(tmp_path: Path) -> None:
    (tmp_path / "model").touch()
    runtimes = {"onnxruntime": Runtime(Timed(SLOW)), "other": Runtime(Timed(FAST))}

    for _ in range(2):
        member = Chooser(runtimes, tmp_path / "kept").open(
            tmp_path / "model", name="one", digest="d", signature=SIGNATURE
        )
        assert member is runtimes["other"].member

    assert (runtimes["onnxruntime"].opened, runtimes["other"].opened) == (1, 3)


def test_a_decision_that_cannot_be_read_or_names_what_is_gone_is_made_again(tmp_path: Path) -> None:
    runtimes = {"onnxruntime": Runtime(Timed(SLOW)), "other": Runtime(Timed(FAST))}
    chooser = Chooser(runtimes, tmp_path)

    def choice() -> str:
        return chooser.choice(Path("model"), name="one", digest="d", signature=SIGNATURE, threads=1).runtime

    choice()
    [kept] = tmp_path.glob("*.json")
    for text in ("{", "[]", '{"runtime": "gone", "candidates": {}}'):
        kept.write_text(text)
        assert choice() == "other"


def test_a_folder_that_cannot_be_written_to_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    chooser = Chooser({"onnxruntime": Runtime(Timed(SLOW)), "other": Runtime(Timed(FAST))}, tmp_path / "file")

    assert chooser.choice(Path("m"), name="a", digest="d", signature=SIGNATURE, threads=1).runtime == "other"


def test_with_one_runtime_nothing_is_measured() -> None:
    only = Runtime(Timed(SLOW))

    assert (
        Chooser({"onnxruntime": only}, None).open(Path("model"), name="one", digest="d", signature=SIGNATURE)
        is only.member
    )
    assert only.opened == 1


def test_a_choice_comes_back_from_json_as_it_was() -> None:
    choice = Choice("a", {"a": Candidate({1: 0.5, 16: 2.0}, 1e-7), "b": Candidate(refused="why")})

    assert Choice.from_json(choice.to_json()) == choice


def test_a_runtime_that_is_not_installed_is_named() -> None:
    with pytest.raises(
        InvalidModelError, match=r"runtime 'tpu' is not installed; installed are \['onnxruntime'"
    ):
        opener("tpu", None)


def test_decisions_are_kept_where_the_user_keeps_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")

    assert cache_folder() == Path("/caches/unisono/runtimes")


def test_every_installed_runtime_runs_a_member_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "perf_counter", time.perf_counter)
    reference = write_linear(tmp_path / "one.onnx")
    rows = {"x": np.random.default_rng(0).normal(size=(257, 4)).astype(np.float32)}

    for open_on in installed().values():
        member = open_on(tmp_path / "one.onnx", name="one", digest="d", signature=SIGNATURE, threads=2)
        np.testing.assert_allclose(member.predict(rows), reference(rows), atol=1e-6)
    chosen_one = opener("auto", None)(tmp_path / "one.onnx", name="one", digest="d", signature=SIGNATURE)
    np.testing.assert_allclose(chosen_one.predict(rows), reference(rows), atol=1e-6)
    assert opener("onnxruntime", None) == OnnxMember.open


def test_a_server_that_asks_for_no_other_runtime_does_not_import_one() -> None:
    code = (
        "import sys\n"
        "from ensemble.runtimes.choice import opener\n"
        "opener('onnxruntime', None)\n"
        "assert 'openvino' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
