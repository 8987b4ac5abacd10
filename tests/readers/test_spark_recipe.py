"""Spark scores by the recipe and reads results, where it and Java are installed: `make test-readers`."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ensemble.loading.load import load_servable
from model_store.store import Store
from tests.readers.expected import assert_same
from tests.support.flowers import NAME, publish_uniform

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("on_spark.py")
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Found:
    """What one session of Spark made of all that is asked here."""

    scores: NDArray[np.float32]
    expected: NDArray[np.float32]
    rows: list[dict[str, Any]]


def environment(packages: Path) -> dict[str, str]:
    """An environment in which our own Python finds Spark, and nothing else, of the readers' packages."""
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java, which isn't installed")
    for package in ("pyspark", "py4j"):
        found = sorted(ROOT.glob(f".venv-readers/lib/python3*/site-packages/{package}"))
        if not found:
            pytest.skip("the readers aren't installed: make test-readers")
        (packages / package).symlink_to(found[0])
    paths = os.pathsep.join([str(ROOT), str(packages)])
    return {
        **os.environ,
        "PYTHONPATH": paths,
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }


@pytest.fixture(name="found", scope="module")
def fixture_found(tmp_path_factory: pytest.TempPathFactory, output: Path) -> Found:
    spark, folder = environment(tmp_path_factory.mktemp("packages")), tmp_path_factory.mktemp("spark")
    store = Store.open(str(folder / "store"))
    version = publish_uniform(store, folder)
    x = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    np.save(folder / "x.npy", x)
    rows, results = str(folder / "x.npy"), str(output)
    words = [sys.executable, str(SCRIPT), store.address, NAME, str(version), rows, results]
    done = subprocess.run(words, env=spark, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    scores = np.array(told["scores"], np.float32)
    return Found(scores, load_servable(store, NAME).score({"x": x}), told["rows"])


def test_spark_scores_rows_bit_for_bit_as_the_ensemble_does(found: Found) -> None:
    assert np.array_equal(found.scores, found.expected)


def test_the_folder_is_one_dataset_for_spark(found: Found, output: Path) -> None:
    assert_same(found.rows, output)
