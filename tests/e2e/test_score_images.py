"""`unisono score` of a folder of images in a bucket, behind a real S3 API: as of the same folder on disk.

Run as a program with a store, an input and an output, it dies of `kill -9` once a part is done; with a number
of processes behind these, it doesn't.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np
import obstore
import pyarrow.parquet as pq
import pytest
from obstore.store import S3Store
from onnx import helper
from PIL import Image

from ensemble.data.dataset import open_dataset
from ensemble.errors import InvalidDataError
from ensemble.executors.executor import Executor
from ensemble.executors.inline import InlineExecutor
from ensemble.executors.process import ProcessExecutor
from ensemble.scoring.ledger import Done, Ledger
from ensemble.scoring.run import ErrorLimit, ScoreOptions, ScoreResult, Stored
from ensemble.scoring.run import score as run
from ensemble.scoring.target import Target
from ensemble.signature import TensorSpec
from model_store.store import Store
from server.cli.main import EXIT_ERROR_ROWS, application
from tests.ensemble.scoring.jobs import tree
from tests.support import figures
from tests.support.flowers import NAME, publish_members
from tests.support.killing import STILL_RUNS, kill, wait_at_most, wait_until_gone, workers_of
from tests.support.members import signature_of
from tests.support.onnx_models import save_graph
from tests.support.s3 import BUCKET

WHOLE = os.environ.get("UNISONO_PROOF") == "whole"
IMAGES = 200 if WHOLE else 40
KILLS = 10
INPUT = f"s3://{BUCKET}/images/"
SIGNATURE = signature_of(TensorSpec("x", "float32", (1, 3)))


def publish(store: Store, folder: Path) -> None:
    """Publish two members that take images of 3 x 1 pixels."""
    nodes = [
        helper.make_node("Reshape", ["x", "flat"], ["pixels"]),
        helper.make_node("Mul", ["pixels", "sharpness"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
    ]
    for name, sharpness in (("blunt", 0.01), ("sharp", 0.1)):
        save_graph(
            folder / f"{name}.onnx",
            nodes,
            inputs={"x": ("rows", 1, 3)},
            outputs={"scores": ("rows", 3)},
            parameters={"sharpness": np.array([sharpness], np.float32), "flat": np.array([-1, 3])},
        )
    publish_members(
        store, {name: folder / f"{name}.onnx" for name in ("blunt", "sharp")}, signature=SIGNATURE
    )


def write_images(folder: Path) -> None:
    """Write images, of which one is damaged and one too wide."""
    for row, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (IMAGES, 1, 3), np.uint8)):
        path = folder / f"class{row % 3}/{row:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    (folder / "class1/031.png").write_bytes(b"torn")
    Image.fromarray(np.zeros((1, 4), np.uint8)).save(folder / "class2/017.png")
    (folder / "notes.txt").write_text("not an image")


def score(
    store: str, source: str | Path, output: str | Path, executor: Executor | None = None
) -> ScoreResult:
    """Score in small parts."""
    opened = Store.open(store)
    target = Target.of_manifest(opened, opened.manifest(NAME))
    dataset = open_dataset([source], target.signature, identity="file", lenient=True)
    options = ScoreOptions(part_rows=8, errors_allowed=ErrorLimit(2))
    return run(Stored(store, target, executor or InlineExecutor()), dataset, output, options)


def put_images(client: S3Store, folder: Path) -> None:
    """Write images, and put them into the bucket."""
    write_images(folder)
    for path in folder.rglob("*.*"):
        obstore.put(client, f"images/{path.relative_to(folder).as_posix()}", path)


def test_images_in_a_bucket_score_as_on_disk_and_to_the_same_bytes_after_a_kill(
    client: S3Store, tmp_path: Path
) -> None:
    store, local = Store.open(str(tmp_path / "store")), tmp_path / "images"
    publish(store, tmp_path)
    put_images(client, local)

    output = str(tmp_path / "killed")
    killed = subprocess.run(
        [sys.executable, "-m", __name__, store.address, INPUT, output],
        timeout=STILL_RUNS,
        check=False,
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [path.name for path in (tmp_path / "killed/_job/done").iterdir()] == ["0.json"]
    result = score(store.address, INPUT, output)
    assert (result.rows, result.failed, result.done_before) == (IMAGES - 2, 2, 8)
    score(store.address, INPUT, tmp_path / "whole")
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")

    score(store.address, local, tmp_path / "disk")
    for name in ("", "_errors"):
        there, here = (
            pq.read_table(tmp_path / output / name).drop(["source"]).combine_chunks()
            for output in ("whole", "disk")
        )
        assert there.equals(here)

    command = ["score", NAME, "--input", INPUT, "--output", str(tmp_path / "out"), "--id-column", "file"]
    options = ["--store", store.address, "--max-error-rows", "2"]
    assert application()([*command, *options], exit_on_error=False) == EXIT_ERROR_ROWS
    out, whole = (pq.read_table(tmp_path / output).combine_chunks() for output in ("out", "whole"))
    assert out.equals(whole)
    assert pq.read_table(tmp_path / "out/_errors").select(["source", "file", "code"]).to_pylist() == [
        {"source": INPUT, "file": "class1/031.png", "code": "parse"},
        {"source": INPUT, "file": "class2/017.png", "code": "shape"},
    ]

    obstore.delete(client, "images/class0/000.png")
    with pytest.raises(InvalidDataError, match=r"another job \(files differ\)"):
        application()([*command, *options], exit_on_error=False)


@pytest.mark.slow
@pytest.mark.skipif(not WHOLE, reason="a long proof: make proof")
@pytest.mark.parametrize("processes", [0, 2])
def test_whenever_it_is_killed_it_ends_with_the_same_bytes(
    processes: int, client: S3Store, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = Store.open(str(tmp_path / "store"))
    publish(store, tmp_path)
    put_images(client, tmp_path / "images")
    began = time.monotonic()
    command = [sys.executable, "-m", __name__, store.address, INPUT]
    subprocess.run([*command, str(tmp_path / "whole"), str(processes)], timeout=STILL_RUNS, check=True)
    seconds = time.monotonic() - began
    whole = tree(tmp_path / "whole")
    chance, killed, finished, resumed = random.Random(processes), 0, 0, 0  # noqa: S311 - repeatable
    while killed < KILLS:
        output = tmp_path / f"killed{finished}"
        resumed += any(output.glob("_job/done/*"))
        with subprocess.Popen([*command, str(output), str(processes)], text=True) as process:
            # Most of the time it starts.
            wait_at_most(process, chance.uniform(seconds / 2, seconds))
            workers = workers_of(process.pid)
            kill(process.pid)
        killed += process.returncode != 0
        assert wait_until_gone(workers)
        if process.returncode == 0:
            assert tree(output) == whole
            finished += 1
    score(store.address, INPUT, output)
    assert tree(output) == whole
    told = f"scoring of {IMAGES} images in a bucket, {processes or 'no'} processes beside"
    figures.report(
        request.config, f"{told}: {killed} kills, {resumed} went on with parts, {finished} whole, same bytes"
    )


def main(store: str, source: str, output: str, processes: str | None = None) -> None:
    if processes is not None:
        score(store, source, output, ProcessExecutor(int(processes)) if int(processes) else None)
        return
    commit = Ledger.commit

    def dying(ledger: Ledger, done: Done, temps: dict[Path, object]) -> None:
        commit(ledger, done, temps)  # type: ignore[arg-type]
        os.kill(os.getpid(), signal.SIGKILL)

    with mock.patch.object(Ledger, "commit", dying):
        score(store, source, output)


if __name__ == "__main__":
    main(*sys.argv[1:])
