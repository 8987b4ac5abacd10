"""Jobs on a GPU, as far as that can be told without one: what is asked of ONNX Runtime is noted."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ensemble.data.dataset import open_dataset
from ensemble.errors import InvalidDataError, UnavailableError
from ensemble.runtimes import onnx_runtime
from ensemble.scoring.plan import Plan
from ensemble.scoring.run import Stored, score
from ensemble.scoring.target import Target
from model_store.store import Store
from tests.support.flowers import NAME, SIGNATURE, publish_uniform, write_rows

from .jobs import tree

CUDA, TENSORRT, CPU = "CUDAExecutionProvider", "TensorrtExecutionProvider", "CPUExecutionProvider"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = Store.open(str(tmp_path / "store"))
    publish_uniform(opened, tmp_path)
    write_rows(tmp_path / "a.npz", 20)
    return opened


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """A machine with a GPU that computes as its processor does; the providers that sessions were to use."""
    found: list[list[str]] = []
    open_session = onnx_runtime.open_session

    def opened(model: Any, name: str, threads: int, providers: Sequence[Any]) -> Any:
        found.append([one if isinstance(one, str) else one[0] for one in providers])
        return open_session(model, name, threads, (CPU,))

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("ensemble.runtimes.opening.available_providers", lambda: [TENSORRT, CUDA, CPU])
    monkeypatch.setattr("ensemble.runtimes.onnx_runtime.open_session", opened)
    monkeypatch.setattr("ensemble.runtimes.merged.open_session", opened)
    return found


def job(store: Store, folder: Path, **how: Any) -> Any:
    target = Target.of_manifest(store, store.manifest(NAME))
    dataset = open_dataset([folder / "a.npz"], SIGNATURE, lenient=True)
    return score(Stored(store.address, target, **how), dataset, folder / how.get("device", "cpu"))


@pytest.mark.parametrize(("device", "wished"), [("cuda", [CUDA, CPU]), ("tensorrt", [TENSORRT, CUDA, CPU])])
def test_a_job_on_a_gpu_says_so_in_its_plan_and_asks_for_it(
    device: Any, wished: list[str], asked: list[list[str]], store: Store, tmp_path: Path
) -> None:
    assert job(store, tmp_path, device=device).rows == 20
    assert asked
    assert all(providers == wished for providers in asked)
    told = json.loads((tmp_path / device / "_job/plan.json").read_text())
    assert told["device"] == device
    assert "onnxruntime-gpu" in told["made_with"]
    assert Plan.from_json(told).to_json() == told


def test_a_job_on_the_processor_asks_for_nothing_else(
    asked: list[list[str]], store: Store, tmp_path: Path
) -> None:
    job(store, tmp_path)
    assert all(providers == [CPU] for providers in asked)
    assert "device" not in json.loads((tmp_path / "cpu/_job/plan.json").read_text())


@pytest.mark.usefixtures("asked")
def test_what_was_scored_on_the_processor_is_not_gone_on_with_on_a_gpu(store: Store, tmp_path: Path) -> None:
    job(store, tmp_path)
    (tmp_path / "cpu").rename(tmp_path / "cuda")
    before = tree(tmp_path / "cuda")
    with pytest.raises(InvalidDataError, match=r"another job \(device, made_with differ\)"):
        job(store, tmp_path, device="cuda")
    assert tree(tmp_path / "cuda") == before


def test_a_worker_without_the_device_fails_and_computes_on_nothing_else(store: Store, tmp_path: Path) -> None:
    with pytest.raises(
        UnavailableError, match="ONNX Runtime has no TensorrtExecutionProvider, CUDAExecution"
    ):
        job(store, tmp_path, device="tensorrt")
    assert not list((tmp_path / "tensorrt").glob("part-*"))
