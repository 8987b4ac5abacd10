"""`unisono label`."""

from typing import Any

from model_store.store import Store


def test_label_points_a_label_at_a_version(store: Store, call: Any) -> None:
    assert call("label", "digits", "stable", "1", "--why=tested", "--by=ann") == (
        0,
        "digits: stable is version 1 (journal entry 5)",
    )
    assert store.labels("digits") == {"canary": 2, "stable": 1}
