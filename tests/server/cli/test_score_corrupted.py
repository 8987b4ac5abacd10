"""A file with corrupted rows in each format: the good ones scored, the bad ones listed, exit code 2."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from onnx import helper

from ensemble.loading.load import load_servable
from ensemble.signature import TensorSpec
from model_store.manifest import Draft, MemberRecord
from model_store.store import Store
from model_store.weights import weights_json
from server.cli import main
from tests.server.cli.corrupted import (
    CASES,
    Case,
    Written,
    arrow,
    csv,
    images,
    jsonl,
    npy,
    npz,
    parquet,
    tfrecord,
)
from tests.support.flowers import CLASSES, NAME, publish_uniform
from tests.support.members import signature_of
from tests.support.onnx_models import save_graph

# These tests type at the real command line.
pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Ensembles of rows, and of images of one row of three grey pixels."""
    folder = tmp_path_factory.mktemp("published")
    opened = Store.open(str(folder / "store"))
    publish_uniform(opened, folder)
    publish_of_images(opened, folder)
    return opened


def publish_of_images(store: Store, folder: Path) -> None:
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Mul", ["flat", "sharpness"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
    ]
    save_graph(
        folder / "pixels.onnx",
        nodes,
        inputs={"x": ("rows", 1, 3)},
        outputs={"scores": ("rows", 3)},
        parameters={"sharpness": np.array([0.01], np.float32)},
    )
    signature = signature_of(TensorSpec("x", "float32", (1, 3))).to_json()
    record = MemberRecord("pixels", "onnx", store.put_blob("pictures", folder / "pixels.onnx"), signature, {})
    blob = store.put_blob("pictures", weights_json({"pixels": 1.0}, {"pixels": record.digest}))
    draft = Draft((record,), CLASSES, signature, {"form": "linear"}, blob, {}, None)
    store.publish("pictures", draft, by="test", why="first")


def exit_code(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    """Type a command at the command line that users have, in this process."""
    monkeypatch.setattr(sys, "argv", ["unisono", *words])
    with pytest.raises(SystemExit) as ended:
        main.run()
    return ended.value.code


def words(case: Case, folder: Path, store: Store) -> list[str]:
    name = "pictures" if case is images else NAME
    return [
        "score",
        name,
        "--input",
        str(folder / "in"),
        "--output",
        str(folder / "out"),
        "--store",
        store.address,
    ]


def check(written: Written, folder: Path, store: Store, name: str) -> None:
    """The scores are those of the plain computation, bit for bit, and the list is what was spoilt."""
    table = pq.read_table(folder / "out")
    told = [
        (Path(row["source"]).relative_to(folder / "in").as_posix(), row["row"]) for row in table.to_pylist()
    ]
    assert told == [(source or ".", row) for source, row, _ in written.good]
    expected = load_servable(store, name).score({"x": np.stack([values for _, _, values in written.good])})
    assert np.array(table.column("scores").to_pylist(), np.float32).tobytes() == expected.tobytes()

    listed = pq.read_table(folder / "out/_errors").to_pylist()
    assert [
        (Path(row["source"]).relative_to(folder / "in").as_posix(), row["row"], row["code"]) for row in listed
    ] == [(source or ".", row, code) for source, row, code, _ in written.bad]
    for row, (_, _, _, message) in zip(listed, written.bad, strict=True):
        assert row["message"].startswith(message), row


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_the_good_rows_are_scored_and_the_bad_ones_listed(
    case: Case,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "in").mkdir()
    written = case(tmp_path / "in")
    typed = words(case, tmp_path, store)
    count, rows = len(written.bad), len(written.bad) + len(written.good)

    assert exit_code(monkeypatch, *typed, "--max-error-rows", str(count - 1)) == main.EXIT_TOO_MANY_ERROR_ROWS
    assert f"{count} of {rows} rows can't be scored, and {count - 1} are allowed" in " ".join(
        capsys.readouterr().err.split()
    )
    assert not (tmp_path / "out/_SUCCESS.json").exists()
    assert exit_code(monkeypatch, *typed, "--max-error-rows", "100%") == main.EXIT_ERROR_ROWS
    check(written, tmp_path, store, typed[1])
    success = json.loads((tmp_path / "out/_SUCCESS.json").read_text())
    assert (success["scored"], success["failed"]) == (rows - count, count)


@pytest.mark.parametrize("batch_size", ["1", "5"])
def test_which_rows_are_lost_never_depends_on_the_batch_size(
    batch_size: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    written = Written()
    for case in (arrow, csv, jsonl, npy, npz, parquet, tfrecord):
        one = case(tmp_path / "in")
        written.good += one.good
        written.bad += one.bad
    options = ("--batch-size", batch_size, "--max-error-rows", "100%")
    assert exit_code(monkeypatch, *words(csv, tmp_path, store), *options) == main.EXIT_ERROR_ROWS
    written.good.sort(key=lambda row: row[:2])
    written.bad.sort(key=lambda row: row[:2])
    check(written, tmp_path, store, NAME)


def test_the_installed_command_ends_with_the_same_codes(store: Store, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    written = jsonl(tmp_path / "in")
    typed = [sys.executable, "-m", "unisono", *words(jsonl, tmp_path, store)]
    for limit, expected in (("0", 5), ("100%", 2)):
        done = subprocess.run(
            [*typed, "--max-error-rows", limit], capture_output=True, text=True, check=False
        )
        assert done.returncode == expected, done.stderr
    check(written, tmp_path, store, NAME)
