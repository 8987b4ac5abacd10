"""Spark itself scores by the recipe, where it and Java are installed: `make test-readers`."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ensemble.loading.load import load_servable
from model_store.store import Store
from tests.support.flowers import NAME, publish_uniform

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("scoring_on_spark.py")
pytestmark = pytest.mark.slow


@pytest.fixture
def spark(tmp_path: Path) -> dict[str, str]:
    """An environment in which our own Python finds Spark, and nothing else, of the readers' packages."""
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java, which isn't installed")
    for package in ("pyspark", "py4j"):
        found = sorted(ROOT.glob(f".venv-readers/lib/python3*/site-packages/{package}"))
        if not found:
            pytest.skip("the readers aren't installed: make test-readers")
        (tmp_path / "packages").mkdir(exist_ok=True)
        (tmp_path / "packages" / package).symlink_to(found[0])
    paths = os.pathsep.join([str(ROOT), str(tmp_path / "packages")])
    return {
        **os.environ,
        "PYTHONPATH": paths,
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }


def test_spark_scores_rows_bit_for_bit_as_the_ensemble_does(spark: dict[str, str], tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    version = publish_uniform(store, tmp_path)
    x = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    words = [sys.executable, str(SCRIPT), store.address, NAME, str(version), str(tmp_path / "x.npy")]
    done = subprocess.run(words, env=spark, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    scores = np.array(json.loads(done.stdout.splitlines()[-1]), np.float32)
    assert np.array_equal(scores, load_servable(store, NAME).score({"x": x}))
