"""Folders of images, scored."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ensemble.data.dataset import open_dataset
from ensemble.errors import InvalidDataError
from ensemble.scoring.run import ErrorLimit, ScoreOptions, score
from ensemble.signature import Signature, TensorSpec
from tests.support.members import SoftmaxLinear, servable

SIGNATURE = Signature((TensorSpec("x", "float32", (1, 2)),), (TensorSpec("scores", "float32", (3,)),))
ENSEMBLE = servable(SoftmaxLinear("line", signature=SIGNATURE))


def written(folder: Path) -> Path:
    for index in range(6):
        path = folder / f"class{index % 3}/{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.array([[index, 2 * index]], np.uint8)).save(path)
    (folder / "class1/4.png").write_bytes(b"torn")
    return folder


def test_good_images_are_scored_and_the_bad_one_is_listed_by_name(tmp_path: Path) -> None:
    dataset = open_dataset([written(tmp_path / "in")], SIGNATURE, identity="file", lenient=True)
    options = ScoreOptions(part_rows=4, errors_allowed=ErrorLimit(1))
    result = score(ENSEMBLE, dataset, tmp_path / "out", options)
    assert (result.rows, result.failed) == (5, 1)
    table = pq.read_table(tmp_path / "out")
    assert table.column("file").to_pylist() == [
        "class0/0.png", "class0/3.png", "class1/1.png", "class2/2.png", "class2/5.png"
    ]  # fmt: skip
    x = np.array([[[index, 2 * index]] for index in (0, 3, 1, 2, 5)], np.float32)
    scores = np.array(table.column("scores").to_pylist(), np.float32)
    assert scores.tobytes() == ENSEMBLE.score({"x": x}).tobytes()
    (error,) = pq.read_table(tmp_path / "out/_errors").to_pylist()
    assert (error["row"], error["file"], error["code"]) == (3, "class1/4.png", "parse")


def test_an_image_that_is_added_or_renamed_makes_another_job(tmp_path: Path) -> None:
    folder, options = written(tmp_path / "in"), ScoreOptions(errors_allowed=ErrorLimit(1))
    score(ENSEMBLE, open_dataset([folder], SIGNATURE, lenient=True), tmp_path / "out", options)
    (folder / "class0/0.png").rename(folder / "class0/7.png")
    with pytest.raises(InvalidDataError, match=r"another job \(files differ\)"):
        score(ENSEMBLE, open_dataset([folder], SIGNATURE, lenient=True), tmp_path / "out", options)
