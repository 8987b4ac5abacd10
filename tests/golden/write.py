"""Writes a store as this release does, to be read by all later ones: `python -m tests.golden.write FOLDER`.

Run once a release, into a new folder: what an earlier release wrote is never written again.
"""

import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from ensemble.loading.load import load_servable
from ensemble.member import Rows
from ensemble.publishing.publish import PublishOptions, publish
from model_store.store import Store
from tests.support.onnx_models import write_constant, write_linear

NAME = "golden"


def rows() -> Rows:
    """The rows whose scores are kept with the store."""
    return {"x": np.linspace(-1, 1, 20, dtype=np.float32).reshape(5, 4)}


def scores(store: Store, version: int) -> list[list[float]]:
    """The average that a version gives to `rows`."""
    servable = load_servable(store, NAME, version, threads=1)
    answers = {member.name: member.predict(rows()) for member in servable.members}
    weights = store.weights(store.manifest(NAME, version))
    pooled = sum(weight * answers[member].astype(np.float64) for member, weight in weights.items())
    return np.asarray(pooled).round(6).tolist()  # type: ignore[no-any-return]


def main() -> None:
    """Publish, publish by id, roll back, label and retire; keep the scores of what stays."""
    folder = Path(sys.argv[1])
    store = Store.open(str(folder / "store"), clock=lambda: datetime(2026, 3, 1, 12, tzinfo=UTC))
    with tempfile.TemporaryDirectory() as work:
        files = {"linear": Path(work) / "linear.onnx", "constant": Path(work) / "constant.onnx"}
        write_linear(files["linear"])
        write_constant(files["constant"], [0.5, 0.25, 0.25])
        for number, share in enumerate((0.5, 0.75, 0.25, 1.0), 1):
            weights = {"linear": share, "constant": 1 - share}
            said = {"classes": ("a", "b", "c"), "weights": weights, "by": "ann", "why": f"number {number}"}
            options = PublishOptions(**said, publish_id="nightly" if number == 2 else None)  # type: ignore[arg-type]
            publish(store, NAME, files, options)
    store.rollback(NAME, 2, by="bob", why="too slow")
    store.label(NAME, "stable", 1, by="ann", why="tested")
    store.retire(NAME, 3, by="ann", why="old")
    kept = {str(version): scores(store, version) for version in store.versions(NAME)}
    (folder / "scores.json").write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
