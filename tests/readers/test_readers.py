"""The results are one dataset for whoever reads it: `make test-readers`, in an environment of its own."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from ensemble.data.dataset import open_dataset
from ensemble.scoring.columns import Columns
from ensemble.scoring.run import ErrorLimit, ScoreOptions, score
from tests.ensemble.scoring.jobs import ENSEMBLE, features

from .reading import READERS

PYTHON = Path(__file__).parents[2] / ".venv-readers/bin/python"
SCRIPT = Path(__file__).with_name("reading.py")
COLUMNS = Columns(("scores", "label", "entropy", "disagreement"), members=True)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three parts, two bad rows, every column there is."""
    folder = tmp_path_factory.mktemp("readers")
    x = features(20)
    x[[3, 9]] = np.nan
    np.savez(folder / "a.npz", x=x, id=np.arange(100, 120))
    dataset = open_dataset([folder / "a.npz"], ENSEMBLE.signature, identity="id", lenient=True)
    options = ScoreOptions(part_rows=8, columns=COLUMNS, errors_allowed=ErrorLimit(2))
    score(ENSEMBLE, dataset, folder / "out", options)
    return folder / "out"


def expected(output: Path) -> list[dict[str, Any]]:
    parts = [pq.read_table(output / f"part-0000{number}.parquet") for number in range(3)]
    return [row for part in parts for row in part.to_pylist()]


def near(row: dict[str, Any]) -> Any:
    """Float32 values, which some readers print with fewer digits than others."""
    return {
        name: near(value)
        if isinstance(value, dict)
        else value
        if isinstance(value, str)
        else np.float32(value).tolist()
        for name, value in row.items()
    }


@pytest.mark.parametrize("reader", sorted(READERS))
def test_the_folder_is_one_dataset(reader: str, output: Path) -> None:
    if not PYTHON.exists():
        pytest.skip("the readers aren't installed: make test-readers")
    if reader == "spark" and shutil.which("java") is None:
        pytest.skip("Spark needs Java, which isn't installed")
    done = subprocess.run(
        [str(PYTHON), "-P", str(SCRIPT), reader, str(output)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [near(row) for row in rows] == [near(row) for row in expected(output)]
    assert [row["id"] for row in rows] == [number for number in range(100, 120) if number not in {103, 109}]


def test_all_that_is_no_part_has_a_name_that_readers_pass_over(output: Path) -> None:
    names = sorted(path.name for path in output.iterdir())
    assert names == [
        "_SUCCESS.json",
        "_errors",
        "_job",
        *(f"part-0000{number}.parquet" for number in range(3)),
    ]
