"""`unisono inspect`."""

import json
from typing import Any

import pytest

from model_store.errors import (
    EnsembleNotFoundError,
    VersionNotFoundError,
)
from model_store.store import Store
from tests.server.cli.published import EVIDENCE, SIGNATURE


def test_inspect_prints_one_object_for_programs(store: Store, call: Any) -> None:
    code, shown = call("inspect", "digits", "--version", "2", "-o", "json")

    said = json.loads(shown)
    manifest = store.manifest("digits", 2)
    assert code == 0
    assert (said["name"], said["version"], said["current"]) == ("digits", 2, False)
    assert (said["labels"], said["parent"]) == (["canary"], 1)
    assert said["published"] == {"seq": 2, "at": "2026-03-01T12:00:00Z", "by": "bob", "why": "refit"}
    assert said["weights"] == {"forest": 0.25, "sepconv": 0.75}
    assert said["pool"] == {"form": "linear"}
    assert said["evidence"] == EVIDENCE
    assert said["classes"] == ["no", "yes"]
    assert said["signature"] == SIGNATURE
    assert said["members"]["forest"] == {
        "digest": manifest.digests["forest"],
        "size": 5,
        "format": "onnx",
        "signature": SIGNATURE,
        "output": {},
        "inputs": {},
        "derived": {},
    }
    assert said["members"]["sepconv"]["derived"]["onnx"]["parity"] == {
        "max_abs_error": 3e-8,
        "tolerance": 1e-5,
    }


@pytest.mark.usefixtures("store")
def test_inspect_shows_weights_as_bars_and_what_they_rest_on(call: Any) -> None:
    code, shown = call("inspect", "digits", "--version", "2")

    assert code == 0
    for said in (
        "digits version 2 canary",
        "published 2026-03-01 12:00:00 UTC by bob, entry 2 why refit",
        "parent version 1 pool form linear 2 classes no, yes inputs image float32 [any, 8]",
        "sepconv 0.7500 ████████████ keras -> onnx",
        "14.6 KiB within 3e-08",
        "forest 0.2500 ████ onnx",
        "measured validation log-loss sepconv 0.2000 forest 0.3100 uniform 0.2200 best single 0.2000",
        "served before 0.2200 learned 0.1875",
        "objective log_loss validation.data digest dddddddddddd, rows 360",
        "verdict publish True, reasons loss falls; by a lot",
    ):
        assert said in shown
    assert "forced" not in shown
    # Drawn by --report, and too long for a terminal.
    assert "figures" not in shown


@pytest.mark.usefixtures("store")
def test_inspect_shows_the_current_version_and_takes_no_text_for_markup(call: Any) -> None:
    _, shown = call("inspect", "digits")

    assert "digits version 1 current" in shown
    assert "why first [try]" in shown
    assert "parent none" in shown
    assert "measured" not in shown
    assert "recorded" not in shown


@pytest.mark.usefixtures("store")
def test_inspect_of_what_is_not_there_says_what_is(call: Any) -> None:
    with pytest.raises(VersionNotFoundError, match=r"has no version 7; it has \[1, 2\]"):
        call("inspect", "digits", "--version", "7")
    with pytest.raises(EnsembleNotFoundError, match=r"it holds \['digits'\]"):
        call("inspect", "digit")
