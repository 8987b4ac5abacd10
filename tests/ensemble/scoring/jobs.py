"""A small ensemble, files for it, and jobs that score them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.data.dataset import Dataset, open_dataset
from ensemble.scoring.run import ScoreOptions, ScoreResult, score
from ensemble.servable import Servable
from tests.support.members import Constant, SoftmaxLinear, servable

ENSEMBLE = servable(
    SoftmaxLinear("line"), Constant("constant", (0.5, 0.25, 0.25)), weights={"line": 0.75, "constant": 0.25}
)


def features(rows: int) -> NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=(rows, 2)).astype(np.float32)


def written(folder: Path, rows: int, names: tuple[str, ...] = ("a", "b")) -> Path:
    folder.mkdir()
    for name in names:
        ids = np.array([f"{name}{index}" for index in range(rows)])
        np.savez(folder / f"{name}.npz", x=features(rows), id=ids, y=np.zeros(rows, np.int64))
    return folder


def dataset_of(folder: Path, ensemble: Servable = ENSEMBLE, **options: Any) -> Dataset:
    return open_dataset([folder], ensemble.signature, lenient=True, **options)


class Jobs:
    """Jobs in one folder: they score two files of so many rows each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "out"

    def inputs(self, rows: int) -> Path:
        folder = self.folder / f"in{rows}"
        return folder if folder.exists() else written(folder, rows)

    def __call__(
        self, rows: int, output: str = "out", ensemble: Servable = ENSEMBLE, **options: Any
    ) -> ScoreResult:
        dataset = dataset_of(self.inputs(rows), ensemble)
        return score(ensemble, dataset, self.folder / output, ScoreOptions(**options))


def tree(folder: Path) -> dict[str, bytes]:
    """The bytes of all that a job promises to write alike: all but the markers, which hold times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "done" not in path.parts
    }
