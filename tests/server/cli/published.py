"""A store with a little history, for the commands that show it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from model_store.manifest import Derived, Draft, MemberRecord
from model_store.store import Store
from model_store.weights import weights_json

SIGNATURE = {
    "inputs": [{"name": "image", "dtype": "float32", "shape": [-1, 8]}],
    "outputs": [{"name": "scores", "dtype": "float32", "shape": [2]}],
}
EVIDENCE = {
    "objective": "log_loss",
    "forced": None,
    "validation": {
        "data": {"digest": "d" * 64, "rows": 360},
        "losses": {
            "members": {"forest": 0.31, "sepconv": 0.2},
            "uniform": 0.22,
            "best_single": {"member": "sepconv", "loss": 0.2},
            "incumbent": 0.22,
            "learned": 0.1875,
        },
        "calibration_error": {"members": {"forest": 0.9, "sepconv": 0.9}},
    },
    "verdict": {"publish": True, "reasons": ["loss falls", "by a lot"]},
    "figures": {"validation": {"classes": [{"name": "no", "rows": 120}]}},
}


def store_with_history(folder: Path) -> Store:
    """Version 1 uniform, version 2 with evidence, a rollback to 1, a label."""
    store = Store.open(str(folder / "store"), clock=lambda: datetime(2026, 3, 1, 12, tzinfo=UTC))
    store.publish("digits", draft(store, forest=0.5), by="ann", why="first [try]")
    store.publish("digits", draft(store, forest=0.25, evidence=EVIDENCE, parent=1), by="bob", why="refit")
    store.rollback("digits", 1, by="cyd", why="too slow")
    store.label("digits", "canary", 2, by="bob", why="to compare")
    return store


def draft(store: Store, *, forest: float, **changes: Any) -> Draft:
    """A keras member with a derived onnx, and an onnx member."""
    trees, keras, onnx = (store.put_blob("digits", data) for data in (b"trees", b"keras" * 3000, b"onnx"))
    digests = {"forest": trees.digest, "sepconv": keras.digest}
    parity = {"max_abs_error": 3e-8, "tolerance": 1e-5}
    parts: dict[str, Any] = {
        "members": (
            MemberRecord("forest", "onnx", trees, SIGNATURE),
            MemberRecord("sepconv", "keras", keras, SIGNATURE, {"onnx": Derived(onnx, parity)}),
        ),
        "classes": ("no", "yes"),
        "signature": SIGNATURE,
        "pool": {"form": "linear"},
        "weights": store.put_blob("digits", weights_json({"forest": forest, "sepconv": 1 - forest}, digests)),
        "evidence": {},
        "parent": None,
    }
    return Draft(**{**parts, **changes})
