import json
from typing import Any

import pytest

from model_store.errors import VersionNotFoundError
from model_store.manifest import MemberRecord
from model_store.store import Store
from model_store.weights import weights_json
from tests.server.cli.published import EVIDENCE, SIGNATURE, draft

SAME = {"added": {}, "removed": {}, "changed": {}, "renamed": {}, "same": ["forest", "sepconv"]}


def member(store: Store, name: str, data: bytes) -> MemberRecord:
    return MemberRecord(name, "onnx", store.put_blob("digits", data), SIGNATURE)


def publish(store: Store, *members: MemberRecord, **changes: Any) -> None:
    """Publish the members, weighed alike."""
    digests = {each.name: each.digest for each in members}
    weights = store.put_blob("digits", weights_json(dict.fromkeys(digests, 1 / len(digests)), digests))
    made = draft(store, forest=0.5, members=members, weights=weights, **changes)
    store.publish("digits", made, by="ann", why="")


@pytest.mark.usefixtures("store")
def test_a_refit_is_shown_as_weights_before_and_after_with_their_change(call: Any) -> None:
    code, shown = call("diff", "digits", "1", "2")

    assert code == 0
    for said in (
        "digits version 1 -> 2",
        "the same members, byte for byte",
        "sepconv 0.5000 ████████ 0.7500 ████████████ +0.2500",
        "forest 0.5000 ████████ 0.2500 ████ -0.2500",
        "The weights moved by 0.5000 in all.",
        "validation log-loss - 0.1875",
        "Only version 2 was measured on validation rows.",
    ):
        assert said in shown
    assert "pool" not in shown
    assert "test" not in shown


@pytest.mark.usefixtures("store")
def test_json_is_one_object(call: Any) -> None:
    code, shown = call("diff", "digits", "1", "2", "-o", "json")

    assert code == 0
    assert json.loads(shown) == {
        "name": "digits",
        "versions": {"before": 1, "after": 2},
        "members": SAME,
        "weights": {
            "forest": {"before": 0.5, "after": 0.25, "change": -0.25},
            "sepconv": {"before": 0.5, "after": 0.75, "change": 0.25},
        },
        "pool": {"before": {"form": "linear"}, "after": {"form": "linear"}},
        "classes": {"before": ["no", "yes"], "after": ["no", "yes"]},
        "data": {"validation": {"before": None, "after": {"digest": "d" * 64, "rows": 360}}},
        "loss": {"before": None, "after": "log-loss"},
        "evidence": {
            "validation": {
                "losses": {"before": None, "after": 0.1875},
                "accuracy": {"before": None, "after": None},
                "calibration_error": {"before": None, "after": None},
            }
        },
    }


def test_losses_of_values_go_by_their_names_and_two_kinds_are_not_compared(store: Store, call: Any) -> None:
    for loss in ("mean squared error", "mean squared error", "pinball loss at 0.9"):
        measured = {
            "data": {"digest": "d" * 64, "rows": 360},
            "loss": loss,
            "losses": {"learned": 3106.4654},
            "r_squared": {"learned": 0.5},
        }
        store.publish("digits", draft(store, forest=0.25, evidence={"validation": measured}), by="a", why="")

    same, other = call("diff", "digits", "3", "4")[1], call("diff", "digits", "4", "5")[1]
    assert "validation mean squared error 3106.5 3106.5 +0.0000" in same
    assert "validation R² 0.5000 0.5000 +0.0000" in same
    assert "accuracy" not in same
    assert "mean squared error -> pinball loss at 0.9 3106.5 3106.5 validation MAE" in other


def test_members_are_told_apart_by_their_bytes(store: Store, call: Any) -> None:
    publish(store, *(member(store, name, name.encode()) for name in ("kept", "other", "old", "gone")))
    changed = [("kept", b"kept"), ("other", b"new bytes"), ("young", b"old"), ("fresh", b"fresh")]
    publish(store, *(member(store, name, data) for name, data in changed), pool={"form": "linear", "t": 0.5})

    said = json.loads(call("diff", "digits", "3", "4", "-o", "json")[1])
    digests = store.manifest("digits", 3).digests, store.manifest("digits", 4).digests
    assert said["members"] == {
        "added": {"fresh": digests[1]["fresh"]},
        "removed": {"gone": digests[0]["gone"]},
        "changed": {"other": {"before": digests[0]["other"], "after": digests[1]["other"]}},
        "renamed": {"old": "young"},
        "same": ["kept"],
    }
    assert said["weights"]["gone"] == {"before": 0.25, "after": None, "change": -0.25}

    shown = call("diff", "digits", "3", "4")[1]
    for line in (
        f"+ fresh {digests[1]['fresh'][:12]}",
        f"- gone {digests[0]['gone'][:12]}",
        f"~ other {digests[0]['other'][:12]} -> {digests[1]['other'][:12]}",
        "= old is called young now",
        "pool: form linear -> form linear, t 0.5",
        "Neither version records what its weights rest on.",
    ):
        assert line in shown


def test_losses_are_set_side_by_side_and_rows_of_another_file_are_called_so(store: Store, call: Any) -> None:
    later = {**EVIDENCE["validation"], "data": {"digest": "e" * 64, "rows": 1200}}  # type: ignore[dict-item]
    for evidence in ({"validation": later}, {"validation": later}):
        store.publish("digits", draft(store, forest=0.25, evidence=evidence), by="bob", why="")

    shown = call("diff", "digits", "2", "3")[1]
    assert "validation log-loss 0.1875 0.1875 +0.0000" in shown
    assert "The validation rows are different files (360 and 1,200 rows)" in shown
    assert "The weights are the same." in shown
    assert "Both were measured on the same 1,200 validation rows." in call("diff", "digits", "3", "4")[1]


@pytest.mark.usefixtures("store")
def test_a_version_that_is_not_there_is_an_error(call: Any) -> None:
    with pytest.raises(VersionNotFoundError, match=r"has no version 7; it has \[1, 2\]"):
        call("diff", "digits", "1", "7")
