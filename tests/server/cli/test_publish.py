"""`unisono publish`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ensemble.errors import InvalidModelError
from model_store.errors import ConflictError
from model_store.manifest import Derived, MemberRecord
from model_store.output import Output
from model_store.store import Store
from server.cli import publish as command
from server.cli.main import application
from tests.server.cli.published import store_with_history
from tests.support.onnx_models import write_constant, write_forest


@pytest.fixture(name="folder")
def fixture_folder(tmp_path: Path) -> Path:
    write_constant(tmp_path / "constant.onnx", [0.5, 0.25, 0.25])
    write_forest(tmp_path / "forest.onnx")
    return tmp_path


def call(folder: Path, *words: str) -> Any:
    members = [f"--member={name}={folder / name}.onnx" for name in ("constant", "forest")]
    return application()(["publish", "digits", *members, "--store", str(folder / "store"), *words])


def test_it_publishes_and_says_what(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = call(folder)

    shown = capsys.readouterr().out
    assert code == 0
    assert "constant" in shown
    assert "served as it is" in shown
    assert shown.endswith("published digits version 1\n")


def test_the_options_reach_the_store(folder: Path) -> None:
    call(
        folder, "--weights=constant=0.25,forest=0.75", "--classes=a,b,c", "--why=try", "--by=ann",
        "--scores-output=forest=probabilities",
    )  # fmt: skip

    store = Store.open(str(folder / "store"))
    manifest, head = store.manifest("digits"), store.head("digits")
    assert store.weights(manifest) == {"constant": 0.25, "forest": 0.75}
    assert manifest.classes == ("a", "b", "c")
    assert head is not None
    assert (head.by, head.why) == ("ann", "try")


def test_a_members_own_classes_and_kind_are_written_down(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(
        folder, "--classes=a,b,c", "--member-classes=constant=c,a,b", "--output-kind=constant=values",
        "--scores-output=forest=probabilities",
    )  # fmt: skip

    constant, forest = Store.open(str(folder / "store")).manifest("digits").members
    assert constant.output == Output("values", ("c", "a", "b"), (), (1, 2, 0))
    assert forest.output == Output("softmax")
    assert "the file's own scores" in capsys.readouterr().out


def test_which_inputs_a_member_takes_is_written_down_and_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(
        folder, "--member-input=constant=x:flower", "--member-input=forest=x:flower",
        "--scores-output=forest=probabilities",
    )  # fmt: skip
    capsys.readouterr()
    application()(["inspect", "digits", "--store", str(folder / "store"), "-o", "json"])

    shown = json.loads(capsys.readouterr().out)
    assert shown["members"]["forest"]["inputs"] == {"x": "flower"}
    assert [put["name"] for put in shown["signature"]["inputs"]] == ["flower"]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--member=nothing",), "--member 'nothing' is not NAME=FILE"),
        (("--member=constant=again",), "--member 'constant=again' is named twice"),
        (("--weights=constant",), "--weights 'constant' is not NAME=NUMBER"),
        (("--weights=constant=much,forest=1",), "holds no number: .*'much'"),
        (("--scores-output=forest",), "--scores-output 'forest' is not NAME=OUTPUT"),
        (("--member-input=forest=x",), "--member-input 'forest=x' is not NAME=INPUT:ENSEMBLES"),
        (
            ("--member-input=forest=x:y", "--member-input=forest=x:z"),
            "--member-input 'forest=x:z' names an input twice; give each once, as --member-input NAME=INPUT:",
        ),
    ],
)
def test_options_of_another_form_are_refused(folder: Path, words: tuple[str, ...], what: str) -> None:
    with pytest.raises(InvalidModelError, match=what):
        call(folder, *words)
    assert not (folder / "store").exists()


def test_where_the_converters_are_not_installed_it_says_what_to_install(folder: Path) -> None:
    program = "import sys; sys.modules['onnx'] = None; from server.cli.main import run; run()"
    words = ["publish", "digits", f"--member=a={folder / 'constant.onnx'}", "--store", str(folder / "store")]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False, timeout=120
    )

    assert done.returncode == 1
    assert "publishing needs 'onnx'" in done.stderr
    assert "pip install 'unisono[keras]'" in done.stderr


def test_how_well_a_conversion_agrees_is_shown(tmp_path: Path) -> None:
    keras = store_with_history(tmp_path).manifest("digits").members[1]
    parity = {"rows": 64, "max_abs_error": 2.2e-8, "tolerance": 1e-5, "against": "keras 3.15.1"}
    record = MemberRecord(
        keras.name, "keras", keras.blob, keras.signature, {"onnx": Derived(keras.blob, parity)}
    )

    assert command._parity(record) == "off by 2e-08 at most on 64 rows (keras 3.15.1)"  # noqa: SLF001


def test_a_publish_repeated_with_its_id_publishes_nothing_more(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(folder, "--publish-id", "nightly")
    capsys.readouterr()

    assert call(folder, "--publish-id", "nightly") == 0

    assert capsys.readouterr().out.endswith("published digits version 1\n")
    assert Store.open(str(folder / "store")).versions("digits") == [1]


def test_who_expects_another_journal_publishes_nothing(folder: Path) -> None:
    call(folder, "--expect-seq", "0")

    with pytest.raises(ConflictError, match="the journal of 'digits' is at entry 1, not 0"):
        call(folder, "--expect-seq", "0")


def optional_files(folder: Path) -> dict[str, Path]:
    """An HDF5 file that holds no model, and a SavedModel that holds code beside it."""
    (folder / "old.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    (folder / "exported").mkdir()
    for name in ("saved_model.pb", "evil.py"):
        (folder / "exported" / name).touch()
    return {"--allow-h5": folder / "old.h5", "--allow-saved-model": folder / "exported"}


@pytest.mark.parametrize("option", ["--allow-h5", "--allow-saved-model"])
def test_an_optional_format_is_refused_with_the_option_that_allows_it(folder: Path, option: str) -> None:
    file = optional_files(folder)[option]

    with pytest.raises(InvalidModelError, match=f"member 'more': .* or allow it with {option} if you trust"):
        call(folder, f"--member=more={file}")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        # Both are looked into, and found wanting.
        ("--allow-h5", "'more' can't be converted to ONNX: InvalidModelError: it is a damaged HDF5 file"),
        ("--allow-saved-model", "holds 'evil.py', which isn't read from a SavedModel"),
    ],
)
def test_an_optional_format_that_is_allowed_is_still_checked(folder: Path, option: str, said: str) -> None:
    file = optional_files(folder)[option]

    with pytest.raises(InvalidModelError, match=said):
        call(folder, f"--member=more={file}", option)
    assert not (folder / "store").exists()
