"""`unisono verify`: of a store, and of a model file."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from onnx import helper

from model_store.errors import (
    EnsembleNotFoundError,
)
from model_store.store import Store
from server.cli.main import EXIT_VERIFY_FAILED
from tests.support.onnx_models import save_graph, write_linear
from tests.support.places import blob_file, root_of


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


@pytest.mark.usefixtures("store")
def test_verify_and_gc_of_an_unknown_ensemble_are_errors(call: Any) -> None:
    for command in ("verify", "gc"):
        with pytest.raises(EnsembleNotFoundError, match=r"it holds \['digits'\]"):
            call(command, "x")


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
