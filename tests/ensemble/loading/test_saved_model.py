"""SavedModel folders are packed alike whenever they are, and hold nothing but a program that computes."""

import os
import zipfile
from pathlib import Path
from types import SimpleNamespace as Made
from typing import Any

import pytest

from ensemble.errors import InvalidModelError
from ensemble.loading import saved_model
from ensemble.loading.saved_model import check_graph, pack, unpack

FILES = ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001")


@pytest.fixture(name="folder")
def fixture_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "assets").mkdir()
    for name in FILES:
        (folder / name).write_text(name)
    return folder


def graph(*operations: str, within: tuple[str, ...] = (), assets: tuple[str, ...] = ()) -> Any:
    """What check_graph reads of a SavedModel."""
    function = Made(signature=Made(name="ReadFile"), node_def=[Made(op=op) for op in within])
    defined = Made(node=[Made(op=op) for op in operations], library=Made(function=[function]))
    meta = Made(graph_def=defined, asset_file_def=[Made(filename=name) for name in assets])
    return Made(meta_graphs=[meta])


def test_the_same_files_are_packed_to_the_same_bytes_and_come_back(folder: Path, tmp_path: Path) -> None:
    pack(folder, tmp_path / "one")
    for name in FILES:
        os.utime(folder / name, (0, 0))
    pack(folder, tmp_path / "two")
    unpack(tmp_path / "one", tmp_path / "back")

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert {name: (tmp_path / "back" / name).read_text() for name in FILES} == {name: name for name in FILES}


@pytest.mark.parametrize("name", ["assets/words.txt", "evil.py", "variables/variables.index.py"])
def test_a_file_that_no_computation_needs_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / name).write_text("x")

    with pytest.raises(InvalidModelError, match=f"holds '{name}', which isn't read from a SavedModel"):
        pack(folder, tmp_path / "packed")


def test_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "fingerprint.pb").symlink_to("/etc/passwd")

    with pytest.raises(InvalidModelError, match=r"holds 'fingerprint\.pb', which isn't read"):
        pack(folder, tmp_path / "packed")


def test_a_folder_of_too_many_bytes_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_model, "MAX_BYTES", 20)

    with pytest.raises(InvalidModelError, match="has over 20 bytes"):
        pack(folder, tmp_path / "packed")


@pytest.mark.parametrize(
    ("name", "packing"),
    [("../evil.py", zipfile.ZIP_STORED), ("saved_model.pb", zipfile.ZIP_DEFLATED)],
)
def test_what_was_not_packed_here_is_not_unpacked(tmp_path: Path, name: str, packing: int) -> None:
    with zipfile.ZipFile(tmp_path / "packed", "w", packing) as archive:
        archive.writestr(name, "x")

    with pytest.raises(InvalidModelError, match="which no SavedModel packed here does"):
        unpack(tmp_path / "packed", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_graph_that_computes_is_taken() -> None:
    check_graph(graph("MatMul", "RestoreV2", within=("Relu", "StatefulPartitionedCall")))


@pytest.mark.parametrize("operation", ["ReadFile", "PyFunc", "WriteFile", "MatchingFiles", "NewInNextYear"])
def test_an_operation_that_is_not_on_the_list_is_refused(operation: str) -> None:
    said = rf"has the operations \['{operation}'\], which aren't known to be harmless"
    with pytest.raises(InvalidModelError, match=said):
        check_graph(graph("MatMul", operation))
    with pytest.raises(InvalidModelError, match=said):
        check_graph(graph("MatMul", within=(operation,)))


def test_a_graph_that_reads_a_vocabulary_is_refused() -> None:
    with pytest.raises(InvalidModelError, match=r"it reads the file 'words\.txt'; export it again"):
        check_graph(graph("MatMul", assets=("words.txt",)))
