import os

import pytest

from ensemble.errors import UnavailableError
from ensemble.executors.inline import InlineExecutor
from ensemble.executors.process import ProcessExecutor
from ensemble.executors.ray_actors import RayExecutor
from server.cli.executors import executor_of


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ensemble.runtimes.devices.visible_gpus", lambda _: ("0", "1"))


@pytest.mark.usefixtures("two_gpus")
def test_on_gpus_there_is_one_worker_each_unless_told() -> None:
    assert executor_of("process", 0, None, "cuda") == ProcessExecutor(2, gpus=("0", "1"))
    assert executor_of("process", 4, None, "tensorrt") == ProcessExecutor(4, gpus=("0", "1"))
    assert executor_of("inline", 0, None, "cuda") == InlineExecutor()
    assert executor_of("ray", 0, None, "cuda") == RayExecutor(2, gpus=1)


def test_on_the_processor_there_is_one_worker_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert executor_of("process", 0, None) == ProcessExecutor(6)
    assert executor_of("ray", 0, "auto") == RayExecutor(6, address="auto")
    assert executor_of("inline", 0, None) == InlineExecutor()


@pytest.mark.parametrize("kind", ["inline", "process", "ray"])
def test_without_a_gpu_here_none_can_be_asked_for(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ensemble.runtimes.devices.visible_gpus", lambda _: ())
    with pytest.raises(UnavailableError, match="--device cuda: NVIDIA's driver finds no GPU here"):
        executor_of(kind, 0, None, "cuda")


def test_the_nodes_of_a_cluster_have_gpus_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ensemble.runtimes.devices.visible_gpus", lambda _: ())
    assert executor_of("ray", 3, "10.0.0.1:6379", "cuda") == RayExecutor(3, address="10.0.0.1:6379", gpus=1)
