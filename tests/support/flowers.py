"""A store with one published version of small ONNX members, and labelled rows in files."""

from pathlib import Path

import numpy as np
from onnx import helper

from ensemble.signature import TensorSpec
from model_store.manifest import Draft, MemberRecord
from model_store.store import Store
from model_store.weights import weights_json
from tests.support.members import signature_of
from tests.support.onnx_models import save_graph

NAME = "flowers"
CLASSES = ("rose", "tulip", "daisy")
SIGNATURE = signature_of(TensorSpec("x", "float32", (3,)))
# softmax(sharpness * x): x holds noisy evidence for each class, and a sharper member trusts it more.
SHARPNESS = {"blunt": 0.2, "fair": 1.0, "over": 8.0}


def publish_uniform(store: Store, folder: Path) -> int:
    """Publish the members, weighed alike; return the version."""
    records = []
    for name, sharpness in SHARPNESS.items():
        path = folder / f"{name}.onnx"
        _write(path, sharpness)
        records.append(MemberRecord(name, "onnx", store.put_blob(NAME, path), SIGNATURE.to_json(), {}))
    digests = {record.name: record.digest for record in records}
    weights = store.put_blob(NAME, weights_json(dict.fromkeys(digests, 1 / len(digests)), digests))
    draft = Draft(tuple(records), CLASSES, SIGNATURE.to_json(), {"form": "linear"}, weights, {}, None)
    return store.publish(NAME, draft, by="test", why="first").version


def write_rows(path: Path, rows: int = 400, *, seed: int = 0) -> Path:
    """Write `x` and `y` as NPZ."""
    random = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(3), random.integers(0, 3, rows - 3)])
    x = (np.eye(3)[labels] * 2 + random.normal(size=(rows, 3))).astype(np.float32)
    np.savez(path, x=x, y=labels)
    return path


def _write(path: Path, sharpness: float) -> None:
    nodes = [
        helper.make_node("Mul", ["x", "sharpness"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
    ]
    save_graph(
        path,
        nodes,
        inputs={"x": ("rows", 3)},
        outputs={"scores": ("rows", 3)},
        parameters={"sharpness": np.array([sharpness], np.float32)},
    )
