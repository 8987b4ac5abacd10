"""Small drafts to publish, and a clock that stands still."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from model_store.journal import Entry
from model_store.manifest import BlobRef, Derived, Draft, MemberRecord
from model_store.store import Store
from model_store.weights import weights_json

SIGNATURE = {
    "inputs": [{"name": "image", "dtype": "float32", "shape": [8, 8]}],
    "outputs": [{"name": "scores", "dtype": "float32", "shape": [2]}],
}
HALVES = {"forest": 0.5, "sepconv": 0.5}


def noon() -> datetime:
    return datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def draft_in(
    store: Store,
    name: str = "digits",
    weights: Mapping[str, float] = HALVES,
    *,
    evidence: Mapping[str, Any] | None = None,
    parent: int | None = None,
) -> Draft:
    """Put a keras member with a derived onnx, an onnx member and their weights; return the draft."""
    forest = store.put_blob(name, b"the forest's bytes")
    sepconv = store.put_blob(name, b"the keras file")
    derived = store.put_blob(name, b"the keras file as onnx")
    digests = {"forest": forest.digest, "sepconv": sepconv.digest}
    return Draft(
        members=(
            MemberRecord(
                "sepconv", "keras", sepconv, SIGNATURE, {"onnx": Derived(derived, {"max_abs_error": 3e-8})}
            ),
            MemberRecord("forest", "onnx", forest, SIGNATURE),
        ),
        classes=("no", "yes"),
        signature=SIGNATURE,
        pool={"form": "linear"},
        weights=store.put_blob(name, weights_json(weights, digests)),
        evidence=evidence or {},
        parent=parent,
    )


def no_blob() -> BlobRef:
    """Return a reference to bytes that nobody put."""
    return BlobRef("0" * 64, 3)


def publish(store: Store, name: str = "digits", **options: float) -> Entry:
    weights = {"forest": options.get("forest", 0.5), "sepconv": 1 - options.get("forest", 0.5)}
    return store.publish(name, draft_in(store, name, weights), by="ann", why="because")


def publish_share(store: Store, share: float = 0.5, **options: str) -> Entry:
    """Publish `digits`, of which the forest has that share."""
    draft = draft_in(store, weights={"forest": share, "sepconv": 1 - share})
    return store.publish("digits", draft, by="ann", why="because", **options)  # type: ignore[arg-type]
