"""Rows as files: what `unisono refit`, `score` and `predict` are given."""

import math
from pathlib import Path

import numpy as np

from training.files import replace_file

from .parts import Data, Part


def write_rows(folder: Path, data: Data) -> None:
    """Write `validation.npz`, `test.npz` and `test.parquet`, named as the members' inputs and the targets.

    The training rows are not written: nobody should fit weights on rows that the members have seen.
    """
    for part, name in ((data.validation, "validation.npz"), (data.test, "test.npz")):
        if part.rows:
            with replace_file(folder / name) as made, made.open("wb") as file:
                np.savez(file, allow_pickle=False, **part.arrays())
    if data.test.rows:
        with replace_file(folder / "test.parquet") as made:
            _write_parquet(made, data.test)


def _write_parquet(path: Path, part: Part) -> None:
    """Write the part as Parquet: an input's numbers of a row as one list, and the targets."""
    import pyarrow as pa  # noqa: PLC0415 - heavy: only when members are trained
    from pyarrow import parquet  # noqa: PLC0415 - heavy: only when members are trained

    columns = {
        name: pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), math.prod(array.shape[1:]))
        for name, array in part.inputs.items()
    }
    targets = {name: pa.array(array) for name, array in part.targets.items()}
    parquet.write_table(pa.table({**columns, **targets}), path)
