"""Operators that Keras' exporter writes and ONNX doesn't have, written with those that it has.

TensorFlow computes the exact GELU with erfc, the exporter passes it on by that name, and no runtime knows it.
The parity check that follows judges what came of it, as it does of every conversion.
"""

from typing import Any

import numpy as np
from onnx import helper, numpy_helper

ERFC = "Erfc"


def repair(graph: Any) -> None:
    """Rewrite such nodes of `graph`, in place: erfc(x) as 1 - erf(x)."""
    nodes = list(graph.node)
    if not any(_is_erfc(node) for node in nodes):
        return
    del graph.node[:]
    for node in nodes:
        graph.node.extend(_without_erfc(graph, node) if _is_erfc(node) else [node])


def _is_erfc(node: Any) -> bool:
    return node.op_type == ERFC and node.domain in ("", "ai.onnx")


def _without_erfc(graph: Any, node: Any) -> list[Any]:
    """Return the nodes that compute what this one is to, and give `graph` their constant."""
    [given], [result] = node.input, node.output
    one, inner = f"{result}__one", f"{result}__erf"
    graph.initializer.append(numpy_helper.from_array(np.ones((), np.float32), one))
    return [
        helper.make_node("Erf", [given], [inner], name=inner),
        # Where the exporter computes with other floats, the constant has to be of their kind.
        helper.make_node("CastLike", [one, inner], [f"{one}__cast"], name=f"{one}__cast"),
        helper.make_node("Sub", [f"{one}__cast", inner], [result], name=node.name or result),
    ]
