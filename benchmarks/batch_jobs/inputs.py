"""The rows that all systems score: folders of NPY files, the same rows for all, fewer of them for the slow.

MLServer's command reads lines of JSON alone: it gets the same rows so.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ensemble.runtimes.sample import random_rows
from ensemble.scoring.pace import row_bytes
from ensemble.scoring.plan import part_rows_for
from ensemble.signature import Signature

# Rows for one file; what is timed needs several, so that workers can share them.
FILE_BYTES = 32 << 20
# What a start costs is told by a job of so few rows; for our own, by one of a part and these.
FEW = 64


@dataclass(frozen=True)
class Inputs:
    """Files of one ensemble's rows: folders called `few`, `some` and `many`."""

    input: str  # what the ensemble calls it
    rows: int
    some_rows: int
    folder: Path

    @property
    def few(self) -> Path:
        """The first `FEW` rows."""
        return self.folder / "few"

    @property
    def some(self) -> Path:
        """More than the first part of a job has."""
        return self.folder / "some"

    @property
    def many(self) -> Path:
        """All of them."""
        return self.folder / "many"


def made(signature: Signature, rows: int, folder: Path) -> Inputs:
    """Write `rows` made-up rows for `signature`, which has one input."""
    (spec,) = signature.inputs
    size = row_bytes(signature)
    inputs = Inputs(spec.name, rows, part_rows_for(1, size) + FEW, folder)
    at_once = max(FEW, FILE_BYTES // size)
    for kind, count in (("few", FEW), ("some", inputs.some_rows), ("many", rows)):
        (folder / kind).mkdir(parents=True)
        for index, start in enumerate(range(0, count, at_once)):
            part = random_rows(signature, min(at_once, count - start), seed=index)[spec.name]
            np.save(folder / kind / f"{index:04d}.npy", part)
    return inputs


def arrays(folder: Path, at_most: int | None = None) -> Iterator[NDArray[np.float32]]:
    """Give the rows of a folder, file by file, `at_most` in all."""
    left = at_most
    for file in sorted(folder.glob("*.npy")):
        rows = np.load(file, mmap_mode="r")[:left]
        if left is not None:
            left -= len(rows)
        if len(rows):
            yield np.asarray(rows)


def write_lines(inputs: Inputs, folder: Path, at_most: int, file: Path) -> None:
    """Write the first rows of a folder as requests of the Open Inference Protocol, one a line."""
    with file.open("w") as lines:
        number = 0
        for rows in arrays(folder, at_most):
            for row in rows:
                tensor = {"name": inputs.input, "datatype": "FP32", "shape": [1, *row.shape]}
                request = {"id": str(number), "inputs": [{**tensor, "data": row.ravel().tolist()}]}
                lines.write(json.dumps(request) + "\n")
                number += 1
