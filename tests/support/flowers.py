"""A store with one published version of small ONNX members, and labelled rows in files."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from onnx import helper

from ensemble.signature import Signature, TensorSpec
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
    return publish_members(store, write_members(folder, SHARPNESS))


def write_members(folder: Path, sharpness: Mapping[str, float]) -> dict[str, Path]:
    """Write a member of each sharpness; return its file."""
    files = {name: folder / f"{name}.onnx" for name in sharpness}
    for name, path in files.items():
        _write(path, sharpness[name])
    return files


def publish_members(
    store: Store,
    files: Mapping[str, Path],
    weights: Mapping[str, float] | None = None,
    signature: Signature = SIGNATURE,
) -> int:
    """Publish these files as members, weighed alike unless told; return the version."""
    records = [
        MemberRecord(name, "onnx", store.put_blob(NAME, path), signature.to_json(), {})
        for name, path in files.items()
    ]
    digests = {record.name: record.digest for record in records}
    by_member = weights or dict.fromkeys(digests, 1 / len(digests))
    blob = store.put_blob(NAME, weights_json(by_member, digests))
    draft = Draft(tuple(records), CLASSES, signature.to_json(), {"form": "linear"}, blob, {}, None)
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
