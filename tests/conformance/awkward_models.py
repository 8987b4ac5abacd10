"""ONNX models whose kernels, left alone, let a row's scores depend on the rows beside it."""

from pathlib import Path

import numpy as np
from onnx import helper

from tests.support.onnx_models import save_graph, write_forest

FEATURES = 64


def large_forest(path: Path) -> None:
    """More trees than ONNX Runtime runs one after another: with two threads it adds them up in two parts."""
    write_forest(path, features=FEATURES, classes=10, trees=100)


def einsum(path: Path) -> None:
    """A matrix product of its own kind for a lone row."""
    _product(path, [helper.make_node("Einsum", ["x", "matrix"], ["scores"], equation="nk,kc->nc")])


def deep_mean(path: Path) -> None:
    """A mean over many values, added up in another order for a lone row."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["scores"], axes=[1, 2], keepdims=0),
    ]
    save_graph(
        path,
        nodes,
        inputs={"x": ("rows", 33, 17, 5)},
        outputs={"scores": ("rows", 5)},
        parameters={},
    )


def logarithm(path: Path) -> None:
    """A function computed eight values at a time, and in another way for what is left at the end."""
    nodes = [
        helper.make_node("Add", ["x", "small"], ["positive"]),
        helper.make_node("Log", ["positive"], ["scores"]),
    ]
    save_graph(
        path,
        nodes,
        inputs={"x": ("rows", 37)},
        outputs={"scores": ("rows", 37)},
        parameters={"small": np.array([0.001], np.float32)},
    )


def batch_mean(path: Path) -> None:
    """What BatchNorm in training mode does: every row's scores depend on all rows."""
    nodes = [
        helper.make_node("MatMul", ["x", "matrix"], ["product"]),
        helper.make_node("ReduceMean", ["product"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["product", "mean"], ["scores"]),
    ]
    _product(path, nodes)


def _product(path: Path, nodes: list[object]) -> None:
    matrix = np.random.default_rng(0).normal(size=(FEATURES, 10)).astype(np.float32)
    save_graph(
        path,
        nodes,
        inputs={"x": ("rows", FEATURES)},
        outputs={"scores": ("rows", 10)},
        parameters={"matrix": matrix},
    )
