"""The first load of an ONNX file, in a process that may be lost."""

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from ensemble.errors import InvalidModelError
from ensemble.loading import probe as probing
from ensemble.loading.onnx_file import read_signature
from ensemble.loading.probe import probe
from ensemble.signature import Signature
from tests.support.onnx_models import save_graph, write_constant, write_linear


def write_bomb(path: Path) -> None:
    """Write a graph of a few bytes that asks for eight gigabytes as it is opened."""
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
        helper.make_node("ReduceSum", ["huge"], ["total"], keepdims=0),
        helper.make_node("Add", ["x", "total"], ["scores"]),
    ]
    shape = {"shape": np.array([2**31], np.int64)}
    save_graph(path, nodes, inputs={"x": ("rows", 3)}, outputs={"scores": ("rows", 3)}, parameters=shape)


def models(*paths: Path) -> dict[str, tuple[Path, Signature]]:
    return {path.stem: (path, read_signature(path)) for path in paths}


def test_models_that_do_no_harm_pass(tmp_path: Path) -> None:
    write_linear(tmp_path / "linear.onnx")
    write_constant(tmp_path / "constant.onnx", [0.5, 0.5])

    probe(models(tmp_path / "linear.onnx", tmp_path / "constant.onnx"), tmp_path / "work")


def test_nothing_to_try_starts_no_child(tmp_path: Path) -> None:
    probe({}, tmp_path / "work")

    assert not (tmp_path / "work").exists()


def test_a_model_that_takes_all_memory_is_stopped_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "START_BYTES", 2**29)
    write_linear(tmp_path / "linear.onnx")
    write_bomb(tmp_path / "bomb.onnx")

    with pytest.raises(
        InvalidModelError,
        match=r"member 'bomb' can't be tried: the trial took over 0\.5 GiB of memory and was stopped; export",
    ):
        probe(models(tmp_path / "linear.onnx", tmp_path / "bomb.onnx"), tmp_path / "work")


def test_what_a_model_says_in_good_order_is_left_to_those_who_open_it_next(tmp_path: Path) -> None:
    write_linear(tmp_path / "linear.onnx", {"x": 4})
    write_linear(tmp_path / "other.onnx", {"z": 2})

    probe({"wrong": (tmp_path / "linear.onnx", read_signature(tmp_path / "other.onnx"))}, tmp_path / "work")
