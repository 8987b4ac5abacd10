import getpass
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from onnx import helper

from model_store.errors import (
    ConflictError,
    EnsembleNotFoundError,
    StoreUnavailableError,
    VersionNotFoundError,
)
from model_store.store import Store
from server.cli.main import EXIT_VERIFY_FAILED
from server.cli.user import user_name
from tests.server.cli.published import EVIDENCE, SIGNATURE
from tests.support.onnx_models import save_graph, write_linear
from tests.support.places import blob_file, root_of


def test_list_says_what_is_served_since_when_and_why(store: Store, call: Any) -> None:
    code, shown = call("list", "--store", store.address)

    assert code == 0
    assert "digits 1 2 canary 2 forest, sepconv 2026-03-01 12:00:00 UTC (rolled back) cyd too slow" in shown


def test_list_prints_one_object_for_programs(store: Store, call: Any) -> None:
    code, shown = call("list", "-o", "json")

    assert code == 0
    assert json.loads(shown) == {
        "store": store.address,
        "ensembles": [
            {
                "name": "digits",
                "version": 1,
                "versions": [1, 2],
                "labels": {"canary": 2},
                "members": ["forest", "sepconv"],
                "op": "rollback",
                "at": "2026-03-01T12:00:00Z",
                "by": "cyd",
                "why": "too slow",
            }
        ],
    }


def test_list_shows_the_healthy_beside_the_broken_and_fails(store: Store, call: Any) -> None:
    (root_of(store) / "ensembles" / "broken" / "journal").mkdir(parents=True)
    (root_of(store) / "ensembles" / "broken" / "journal" / "00000000000000000001.json").write_bytes(b"{}")

    code, shown = call("list", "-o", "json")

    assert code == EXIT_VERIFY_FAILED
    broken, digits = json.loads(shown)["ensembles"]
    assert broken["name"] == "broken"
    assert "journal entry 1 can't be read: it lacks 'seq'" in broken["error"]
    assert digits["version"] == 1

    code, shown = call("list")
    assert code == EXIT_VERIFY_FAILED
    assert "broken ? ?" in shown
    assert "cyd too slow" in shown


def test_list_of_an_empty_store_says_what_to_do(tmp_path: Path, call: Any) -> None:
    (tmp_path / "empty").mkdir()

    assert call("list", "--store", str(tmp_path / "empty")) == (
        0,
        f"no ensembles in {tmp_path}/empty; publish one with `unisono publish`",
    )
    with pytest.raises(StoreUnavailableError, match="doesn't exist; publish into it first"):
        call("list", "--store", str(tmp_path / "typo"))


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


@pytest.mark.usefixtures("store")
def test_history_shows_the_newest_entry_first(call: Any) -> None:
    code, shown = call("history", "digits")

    assert code == 0
    places = [
        shown.index(said)
        for said in (
            "4 2026-03-01 12:00:00 UTC label canary on version 2 1 bob to compare",
            "3 2026-03-01 12:00:00 UTC rollback to version 1 1 cyd too slow",
            "2 2026-03-01 12:00:00 UTC publish version 2 2 bob refit",
            "1 2026-03-01 12:00:00 UTC publish version 1 1 ann first [try]",
        )
    ]
    assert places == sorted(places)


def test_history_prints_one_object_for_programs(store: Store, call: Any) -> None:
    code, shown = call("history", "digits", "-o", "json")

    said = json.loads(shown)
    assert code == 0
    assert (said["name"], said["current"]) == ("digits", 1)
    assert [entry["op"] for entry in said["entries"]] == ["label", "rollback", "publish", "publish"]
    assert said["entries"][3]["manifest_sha256"] == store.entries("digits")[0].manifest_sha256


def test_history_of_nothing_is_an_error(store: Store, call: Any) -> None:
    with pytest.raises(EnsembleNotFoundError, match=f"no ensemble 'x' in '{store.address}'"):
        call("history", "x")


def test_rollback_makes_an_older_version_current_and_says_so(store: Store, call: Any) -> None:
    code, shown = call("rollback", "digits", "2", "--why", "fixed", "--by", "dee")

    assert (code, shown) == (0, "digits: version 2 is current again, version 1 was (journal entry 5)")
    head = store.head("digits")
    assert head is not None
    assert (head.op, head.version, head.by, head.why) == ("rollback", 2, "dee", "fixed")


def test_rollback_names_whoever_is_logged_in(
    store: Store, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "eve")

    call("rollback", "digits", "2")

    head = store.head("digits")
    assert head is not None
    assert head.by == "eve"


@pytest.mark.usefixtures("store")
def test_rollback_to_where_we_are_is_a_conflict(call: Any) -> None:
    with pytest.raises(ConflictError, match="version 1 of 'digits' is current already"):
        call("rollback", "digits", "1")


def test_who_has_no_login_name_is_named_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.setattr(os, "getuid", lambda: 12345)

    assert user_name() == "uid 12345"


@pytest.mark.usefixtures("store")
def test_verify_of_a_whole_store_says_so(call: Any) -> None:
    code, shown = call("verify")

    assert code == 0
    assert "digits 4 2 5 15.1 KiB whole" in shown
    assert call("verify", "digits")[0] == 0


def test_verify_of_a_broken_store_names_each_fault_and_fails(store: Store, call: Any) -> None:
    weights = store.manifest("digits", 2).draft.weights
    blob_file(store, "digits", weights).unlink()

    code, shown = call("verify")
    assert code == EXIT_VERIFY_FAILED
    assert "1 wrong" in shown
    assert f"digits version 2: blob {weights.digest} is missing" in shown

    code, shown = call("verify", "digits", "-o", "json")
    assert code == EXIT_VERIFY_FAILED
    (said,) = json.loads(shown)["ensembles"]
    assert (said["name"], said["findings"][0]["version"]) == ("digits", 2)

    (root_of(store) / "ensembles" / "digits" / "journal" / "00000000000000000002.json").unlink()
    assert "digits journal: journal entry 3 follows 1 entries" in call("verify")[1]


def test_gc_clears_away_what_no_version_needs(store: Store, call: Any) -> None:
    ref = store.put_blob("digits", b"nobody's")

    assert call("gc") == (0, "removed 0 files, 0 B")
    assert call("gc", "digits", "--grace-hours", "0", "--dry-run") == (
        0,
        f"digits: {ref.digest}, 8 B would remove 1 files, 8 B",
    )
    code, shown = call("gc", "--grace-hours", "0", "-o", "json")
    assert code == 0
    assert json.loads(shown)["bytes"] == 8
    assert call("verify")[0] == 0
    assert call("gc", "--grace-hours", "0") == (0, "removed 0 files, 0 B")


def test_gc_clears_away_a_first_publish_that_came_to_nothing(store: Store, call: Any) -> None:
    store.put_blob("unfinished", b"bytes, but no version")

    assert "removed 1 files, 21 B" in call("gc", "--grace-hours", "0")[1]
    assert call("gc", "unfinished") == (0, "removed 0 files, 0 B")


@pytest.mark.usefixtures("store")
def test_verify_and_gc_of_an_unknown_ensemble_are_errors(call: Any) -> None:
    for command in ("verify", "gc"):
        with pytest.raises(EnsembleNotFoundError, match=r"it holds \['digits'\]"):
            call(command, "x")


def test_label_points_a_label_at_a_version(store: Store, call: Any) -> None:
    assert call("label", "digits", "stable", "1", "--why=tested", "--by=ann") == (
        0,
        "digits: stable is version 1 (journal entry 5)",
    )
    assert store.labels("digits") == {"canary": 2, "stable": 1}


def test_gc_keeps_as_many_versions_as_it_is_told(store: Store, call: Any) -> None:
    refit = store.manifest("digits", 2).draft
    store.publish("digits", refit, by="bob", why="again")
    store.publish("digits", refit, by="bob", why="again")

    # 2 has a label, 4 is current.
    assert (
        "would retire version 1 digits: would retire version 3" in call("gc", "--keep", "1", "--dry-run")[1]
    )
    assert store.versions("digits") == [1, 2, 3, 4]
    code, shown = call("gc", "--keep", "1", "-o", "json")
    assert code == 0
    retired = [{"name": "digits", "version": 1}, {"name": "digits", "version": 3}]
    assert json.loads(shown)["retired"] == retired
    assert store.versions("digits") == [2, 4]
    assert store.entries("digits")[-1].why == "gc --keep 1"

    # The weights of version 1 are nobody else's.
    assert "digits: retired" not in call("gc", "--keep", "1")[1]
    assert "removed 1 files" in call("gc", "--grace-hours", "0")[1]
    assert call("verify")[0] == 0


def test_verify_of_a_model_file_says_what_was_found(tmp_path: Path, call: Any) -> None:
    write_linear(tmp_path / "linear.onnx")

    code, shown = call("verify", "--model", str(tmp_path / "linear.onnx"))

    assert code == 0
    assert "format onnx, told by its bytes" in shown
    assert "signature x float32 [rows, 4] -> scores float32 [rows, 3]" in shown
    assert "trial 3 finite scores a row, the same whatever rows are beside it" in shown
    assert shown.endswith("can be published")


def test_verify_of_a_hostile_model_file_says_why_it_is_refused(tmp_path: Path, call: Any) -> None:
    layer = {"module": "keras.layers", "class_name": "Lambda", "config": {}}
    with zipfile.ZipFile(tmp_path / "evil.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({"config": {"layers": [layer]}}))
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", b"")

    code, shown = call("verify", "--model", str(tmp_path / "evil.keras"), "-o", "json")

    assert code == EXIT_VERIFY_FAILED
    said = json.loads(shown)
    assert [each["check"] for each in said["passed"]] == ["format", "digest"]
    assert said["refused"].startswith(f"'{tmp_path}/evil.keras' holds a Lambda layer, which runs code")


def test_verify_of_a_model_file_takes_optional_formats_where_they_are_allowed(
    tmp_path: Path, call: Any
) -> None:
    folder = tmp_path / "exported"
    folder.mkdir()
    for name in ("saved_model.pb", "evil.py"):
        (folder / name).touch()

    refused = call("verify", "--model", str(folder))
    allowed = call("verify", "--model", str(folder), "--allow-saved-model")

    assert (refused[0], allowed[0]) == (EXIT_VERIFY_FAILED, EXIT_VERIFY_FAILED)
    assert "allow it with --allow-saved-model" in refused[1]
    assert "format saved_model, told by its bytes" in allowed[1]
    assert "holds 'evil.py', which isn't read from a SavedModel" in allowed[1]


def write_several(path: Path) -> None:
    """Write a model whose two outputs could both be scores."""
    nodes = [helper.make_node("Identity", ["x"], ["one"]), helper.make_node("Neg", ["x"], ["two"])]
    shape = ("rows", 3)
    save_graph(path, nodes, inputs={"x": shape}, outputs={"one": shape, "two": shape}, parameters={})


def test_verify_of_a_model_with_several_outputs_says_that_one_must_be_named(
    tmp_path: Path, call: Any
) -> None:
    write_several(tmp_path / "several.onnx")

    code, shown = call("verify", "--model", str(tmp_path / "several.onnx"))

    assert code == 0
    assert "trial not run: member 'several'" in shown
