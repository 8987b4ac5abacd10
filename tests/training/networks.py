"""Prints, as one JSON object, what the tests ask about networks: run in a process of its own.

usage: python -m tests.training.networks MEMBERS
"""

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from training.architectures import catalogue, sepconv
from training.architectures.task import Task, task_of
from training.callbacks.choose import Places
from training.config import DataConfig, Fit, MemberConfig
from training.fit_network import fit_network
from training.predict import predict
from training.progress import Progress
from training.quiet_keras import import_keras
from training.train import TrainOptions, load, train

NAMES = ("sepconv", "bndense", "bnconv")
ROWS = 64
LEARNT = 400


def facts(members: Path) -> dict[str, Any]:
    keras = import_keras(0)
    data = load(DataConfig(profile=True, ink=True))
    whole = task_of(data)
    only_classes = Task(whole.inputs, whole.classes, value=False, spreads=whole.spreads)
    return {
        "sepconv_counts": sepconv_counts(keras),
        "members": {name: member_facts(keras, members / f"{name}.keras", data) for name in NAMES},
        "built": {
            name: built(name, whole if name == "two_outputs" else only_classes, data)
            for name in catalogue.NAMES
        },
        "bndense_layers": kinds(catalogue.build("bndense", only_classes, {})),
        "bnconv_layers": kinds(catalogue.build("bnconv", only_classes, {})),
        "normalised": normalised(keras, whole, data),
        "training": [trained(seed) for seed in (0, 0, 1)],
        "made": made(),
    }


def sepconv_counts(keras: Any) -> list[int]:
    last = keras.layers.Dense(10, activation="softmax")
    stack = keras.Sequential([keras.Input((64, 64, 3)), *sepconv.body(), last])
    return [layer.count_params() for layer in stack.layers]


def kinds(network: Any) -> list[str]:
    return [type(layer).__name__ for layer in network.layers]


def member_facts(keras: Any, path: Path, data: Any) -> dict[str, Any]:
    network = keras.models.load_model(path)
    image = data.test.inputs["image"]
    scores = network(image, training=False).numpy()
    return {
        "input": [network.inputs[0].name, *network.inputs[0].shape],
        "output": [network.output_names[0], *network.outputs[0].shape],
        "compiled": network.compiled,
        "plain_call_error": float(np.abs(network(image).numpy() - scores).max()),
        "row_sum_error": float(np.abs(scores.sum(axis=1) - 1).max()),
    }


def built(name: str, task: Task, data: Any) -> dict[str, Any]:
    """A network fresh from the catalogue: what it takes and gives."""
    network = catalogue.build(name, task, {})
    inputs = {tensor.name: data.test.inputs[tensor.name][:ROWS] for tensor in network.inputs}
    return {
        "inputs": sorted(inputs),
        "outputs": {name: list(array.shape) for name, array in predict(network, inputs).items()},
    }


def normalised(keras: Any, task: Task, data: Any) -> list[float]:
    """Mean and deviation of what the layers after the input see of the training rows."""
    network = catalogue.build("two_inputs", task, {})
    found = [layer.output for layer in network.layers if type(layer).__name__ == "Normalization"]
    images, profile = keras.Model(network.input, found)([data.train.inputs[t.name] for t in network.inputs])
    return [
        float(np.mean(images)),
        float(np.std(images)),
        float(np.abs(np.mean(profile, axis=0)).max()),
        # A line of pixels that is always black stays 0.
        float(np.std(profile, axis=0).max()),
    ]


def trained(seed: int) -> list[float]:
    """What one epoch over some of the digits, a dozen batches, makes of a network's parameters."""
    member = MemberConfig("bndense", "bndense", {"units": [8], "dropout": 0.3}, fit=Fit(epochs=1))
    data = load(DataConfig())
    few = replace(data, train=data.train.take(np.arange(LEARNT)))
    with tempfile.TemporaryDirectory() as folder:
        places = Places(Path(folder) / "run", Path(folder) / "scores.npz")
        network, _ = fit_network(
            member, few, places, seed=seed, made_by={}, on_epoch=lambda _epoch, _loss: None
        )
    return [float(np.abs(array).astype(np.float64).sum()) for array in network.get_weights()]


def made() -> list[Any]:
    """What `train` says of a network of the demo's after two epochs."""
    steps: list[Progress] = []
    with tempfile.TemporaryDirectory() as folder:
        options = TrainOptions(("bndense",), most_epochs=2)
        (made,) = train(Path(folder), on_progress=steps.append, options=options)
    return [made.epochs, made.parameters, [step.epoch for step in steps], made.figures["accuracy"]]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(facts(Path(sys.argv[1]))) + "\n")
