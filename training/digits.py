"""The rows members are trained, fitted and judged on: scikit-learn's handwritten digits.

1,797 real scans of 8x8 pixels, from 0 to 1, in ten classes. They are split once, for good: members learn
from `train`, weights are fitted on `validation`, and `test` is looked at only to report. No two scans
are the same pixel for pixel, so no row can be in two parts.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .files import replace_file

INPUT = "image"
LABEL = "label"
SHAPE = (8, 8, 1)
CLASSES = 10
# One split for every run and every seed: a test row of one run must not be a training row of another.
_SPLIT_SEED = 20260701
_BRIGHTEST = 16


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one part: `image` is float32 [row, 8, 8, 1] in 0..1, `label` is int64 [row] in 0..9."""

    image: NDArray[np.float32]
    label: NDArray[np.int64]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by the names that a data file gives them."""
        return {INPUT: self.image, LABEL: self.label}


@dataclass(frozen=True, slots=True)
class Digits:
    """The three parts, 60, 20 and 20 percent, each with every class in the same proportion."""

    train: Part
    validation: Part
    test: Part


def load_digits() -> Digits:
    """Read the digits that come with scikit-learn and split them. The same rows every time."""
    from sklearn import datasets  # noqa: PLC0415 - heavy: only when members are trained

    images, labels = datasets.load_digits(return_X_y=True)
    whole = Part(
        (images / _BRIGHTEST).astype(np.float32).reshape(-1, *SHAPE),
        labels.astype(np.int64),
    )
    train, rest = divide(whole, 0.4, seed=_SPLIT_SEED)
    validation, test = divide(rest, 0.5, seed=_SPLIT_SEED)
    return Digits(train, validation, test)


def divide(part: Part, share: float, *, seed: int) -> tuple[Part, Part]:
    """Split `part` in two, the second with `share` of its rows, each class in the same proportion."""
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 - heavy: only when members are trained

    image, image_2, label, label_2 = train_test_split(
        part.image, part.label, test_size=share, stratify=part.label, random_state=seed
    )
    return Part(image, label), Part(image_2, label_2)


def with_shifted(part: Part) -> Part:
    """Return `part` and, after it, its images moved by one pixel down, up, right and left."""
    moves = ((1, 0), (-1, 0), (0, 1), (0, -1))
    images = [part.image, *(_moved(part.image, down, right) for down, right in moves)]
    return Part(np.concatenate(images), np.tile(part.label, len(images)))


def _moved(image: NDArray[np.float32], down: int, right: int) -> NDArray[np.float32]:
    """Move images by at most one pixel each way; what comes in at the edge is black."""
    height, width = image.shape[1:3]
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return padded[:, 1 - down : 1 - down + height, 1 - right : 1 - right + width]


def write_rows(folder: Path, digits: Digits) -> None:
    """Write `validation.npz`, `test.npz` and `test.parquet`, named as the members' input and the label.

    The training rows are not written: nobody should fit weights on rows that the members have seen.
    """
    for part, name in ((digits.validation, "validation.npz"), (digits.test, "test.npz")):
        with replace_file(folder / name) as made, made.open("wb") as file:
            np.savez(file, allow_pickle=False, **part.arrays())
    with replace_file(folder / "test.parquet") as made:
        _write_parquet(made, digits.test)


def _write_parquet(path: Path, part: Part) -> None:
    """Write the part as Parquet: the pixels of a row as one list, and its label."""
    import pyarrow as pa  # noqa: PLC0415 - heavy: only when members are trained
    from pyarrow import parquet  # noqa: PLC0415 - heavy: only when members are trained

    pixels = pa.FixedSizeListArray.from_arrays(pa.array(part.image.ravel()), math.prod(SHAPE))
    parquet.write_table(pa.table({INPUT: pixels, LABEL: pa.array(part.label)}), path)
