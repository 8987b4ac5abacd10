"""Results that are read."""

from pathlib import Path

import numpy as np
import pytest

from ensemble.data.dataset import open_dataset
from ensemble.scoring.columns import Columns
from ensemble.scoring.run import ErrorLimit, ScoreOptions, score
from tests.ensemble.scoring.jobs import ENSEMBLE, features

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
