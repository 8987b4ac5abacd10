"""`unisono train` on rows of one's own, in every format that a configuration may name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

from server.cli.main import application

ROWS = 60
Write = Callable[[Path, NDArray[np.float32], NDArray[np.int64]], str]


def npz(folder: Path, x: NDArray[np.float32], y: NDArray[np.int64]) -> str:
    np.savez(folder / "rows.npz", x=x, kind=y)
    return "rows.npz"


def parquet(folder: Path, x: NDArray[np.float32], y: NDArray[np.int64]) -> str:
    pq.write_table(pa.table({"x": x.tolist(), "kind": np.array(["cat", "dog"])[y]}), folder / "rows.parquet")
    return "rows.parquet"


def csv(folder: Path, x: NDArray[np.float32], y: NDArray[np.int64]) -> str:
    columns = {f"x_{place}": x[:, place] for place in range(4)}
    pa_csv.write_csv(pa.table({**columns, "kind": np.array(["cat", "dog"])[y]}), folder / "rows.csv")
    return "rows.csv"


def images(folder: Path, x: NDArray[np.float32], y: NDArray[np.int64]) -> str:
    for row, (values, kind) in enumerate(zip(x, y, strict=True)):
        place = folder / "rows" / ("cat", "dog")[kind]
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.clip(128 + 40 * values.reshape(2, 2), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(place / f"{row}.png")
    return "rows"


@pytest.mark.parametrize("write", [npz, parquet, csv, images])
def test_a_member_is_trained_on_rows_of_this_format(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random, kinds = np.random.default_rng(0), np.arange(ROWS) % 2
    x = (random.normal(size=(ROWS, 4)) + 3 * kinds[:, None]).astype(np.float32)
    shape, label = ([2, 2, 1], "class") if write is images else ([4], "kind")
    (tmp_path / "own.toml").write_text(
        f'[data]\ntrain = "{write(tmp_path, x, kinds)}"\ninputs = {{ x = {shape} }}\nlabel = "{label}"\n'
        'classes = ["cat", "dog"]\n[members.line]\narchitecture = "logistic"\n'
    )
    assert application()(["train", str(tmp_path / "own.toml"), "--output", str(tmp_path / "made")]) == 0
    shown = capsys.readouterr().out
    assert "line" in shown
    assert (tmp_path / "made/line.onnx").exists()
    with np.load(tmp_path / "made/test.npz") as test:
        assert test["x"].shape == (12, *shape)
        assert set(test["label"].tolist()) == {0, 1}
