"""Prints, as one JSON object, what the tests ask about networks: run in a process of its own.

usage: python -m tests.training.networks MEMBERS
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from training.architectures import bnconv, bndense, sepconv
from training.digits import load_digits
from training.fit_network import fit_network
from training.quiet_keras import import_keras
from training.recipes import NetworkRecipe

NAMES = ("sepconv", "bndense", "bnconv")


def facts(members: Path) -> dict[str, Any]:
    keras = import_keras(0)
    image = np.load(members / "test.npz")["image"]
    return {
        "sepconv_counts": sepconv_counts(keras),
        "members": {name: member_facts(keras, members / f"{name}.keras", image) for name in NAMES},
        "bndense_layers": kinds(bndense.build((8, 8, 1), 10)),
        "bnconv_layers": kinds(bnconv.build((8, 8, 1), 10)),
        "other_shape": sepconv.build((20, 24, 3), 4).output_shape,
        "training": [trained(seed) for seed in (0, 0, 1)],
    }


def sepconv_counts(keras: Any) -> list[int]:
    stack = keras.Sequential([keras.Input((64, 64, 3)), *sepconv.body(10)])
    return [layer.count_params() for layer in stack.layers]


def kinds(network: Any) -> list[str]:
    return [type(layer).__name__ for layer in network.layers]


def member_facts(keras: Any, path: Path, image: Any) -> dict[str, Any]:
    network = keras.models.load_model(path)
    scores = network(image, training=False).numpy()
    with tempfile.TemporaryDirectory() as folder:
        network.export(f"{folder}/member.onnx", format="onnx", verbose=False)
        session = onnxruntime.InferenceSession(f"{folder}/member.onnx")
        (exported,) = session.run(None, {session.get_inputs()[0].name: image})
    return {
        "input": [network.inputs[0].name, *network.inputs[0].shape],
        "output": [network.output_names[0], *network.outputs[0].shape],
        "compiled": network.compiled,
        "plain_call_error": float(np.abs(network(image).numpy() - scores).max()),
        "onnx_error": float(np.abs(exported - scores).max()),
        "row_sum_error": float(np.abs(scores.sum(axis=1) - 1).max()),
    }


def trained(seed: int) -> list[float]:
    recipe = NetworkRecipe(sepconv.build, epochs=1, batch_rows=64, learning_rate=1e-3, patience=1)
    network, _ = fit_network(recipe, load_digits().train, seed=seed, on_epoch=lambda _epoch, _loss: None)
    return [float(np.abs(array).astype(np.float64).sum()) for array in network.get_weights()]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(facts(Path(sys.argv[1]))) + "\n")
