"""Trains one network with every callback, and prints what was written, as one JSON object.

usage: python -m tests.training.callbacks.runs FOLDER [KILLED_AFTER_EPOCH]
"""

import io
import json
import os
import signal
import sys
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from training.config import TrainConfig
from training.progress import Progress
from training.train import TrainOptions, train

FIT = {
    "epochs": 8,
    "learning-rate": 0.02,
    # An epoch without a gain lowers the rate, three stop: both happen, after the kills.
    "reduce-rate": {"patience": 1},
    "stop-early": {"patience": 3, "min-delta": 0.05},
    "tensorboard": True,
}
# A schedule sets the rate by itself, so it can't go with `reduce-rate`.
SCHEDULED = {
    "architecture": "bndense",
    "options": {"units": [8]},
    "fit": {"epochs": 3, "learning-rate": 0.01, "schedule": "exponential"},
}
CONFIG = {"members": {"bndense": {"options": {"dropout": 0.3}, "fit": FIT}, "scheduled": SCHEDULED}}


def run(folder: Path, killed_after: int) -> dict[str, Any]:
    def die(step: Progress) -> None:
        if step.epoch == killed_after:
            os.kill(os.getpid(), signal.SIGKILL)

    config = TrainConfig.from_toml(CONFIG, folder)
    made, _scheduled = train(folder, config, die, TrainOptions(pictures=True))
    losses = (folder / "runs/bndense/epochs.csv").read_text().splitlines()
    with np.load(folder / "predictions/bndense.npz") as captured:
        scores = {name: captured[name].tolist() for name in ("epoch", "label")}
        scores["log_loss"] = float(
            -np.log(captured["scores"][np.arange(len(captured["label"])), captured["label"]]).mean()
        )
    return {
        "parameters": parameters(folder / "bndense.keras"),
        "epochs": made.epochs,
        "log_loss": made.figures["log_loss"],
        "losses": losses,
        "scheduled": (folder / "runs/scheduled/epochs.csv").read_text().splitlines(),
        "captured": scores,
        "events": events(folder / "runs/bndense/tensorboard"),
    }


def parameters(path: Path) -> str:
    """The digest of the network's parameters; the file also says when it was written."""
    import h5py  # noqa: PLC0415 - in the child only

    digest = sha256()
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(
            lambda _name, found: (
                digest.update(found[()].tobytes()) if isinstance(found, h5py.Dataset) else None
            )
        )
    return digest.hexdigest()


def events(folder: Path) -> dict[str, Any]:
    """What TensorBoard finds in each folder, by kind."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: PLC0415

    found: dict[str, dict[str, Any]] = {}
    for name in ("train", "validation", "activations"):
        read = EventAccumulator(str(folder / name)).Reload()
        content = read.summary_metadata
        kinds: dict[str, list[str]] = {}
        for tag, metadata in content.items():
            kinds.setdefault(metadata.plugin_data.plugin_name, []).append(tag)
        found[name] = {kind: sorted(tags) for kind, tags in kinds.items()}
        found[name]["values"] = {tag: numbers(read, tag) for tag in kinds.get("scalars", [])}
        found[name]["counts"] = {tag: counts(read, tag) for tag in kinds.get("histograms", [])}
    graph = EventAccumulator(str(folder / "graph")).Reload().Graph()
    return {**found, "graph": {"operations": len(graph.node)}}


def numbers(read: Any, tag: str) -> list[float]:
    """A scalar at each step."""
    from tensorboard.util.tensor_util import make_ndarray  # noqa: PLC0415 - in the child only

    return [float(make_ndarray(event.tensor_proto)) for event in read.Tensors(tag)]


def counts(read: Any, tag: str) -> list[int]:
    """How many values each step's histogram is of: its buckets are [left, right, count]."""
    from tensorboard.util.tensor_util import make_ndarray  # noqa: PLC0415 - in the child only

    return [round(make_ndarray(event.tensor_proto)[:, 2].sum()) for event in read.Tensors(tag)]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else -1)) + "\n")
