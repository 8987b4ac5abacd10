"""Predictions as files: a folder of NPZ, one a member, as `unisono train` and `unisono tune` write them."""

from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from .cache import ScoreArray
from .predictions import Predictions


def read_captured(folder: Path, classes: Sequence[str] = ()) -> Predictions:
    """Read each NAME.npz of `folder`: `scores` [row, class] and `label` [row], the same rows in each.

    Classes are called by their numbers unless named. InvalidDataError names the file that doesn't fit.
    """
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise InvalidDataError(f"{folder} holds no captured predictions: no .npz file")
    found = [_read(path) for path in paths]
    scores, labels = found[0]
    for path, (others, truth) in zip(paths, found, strict=True):
        if others.shape != scores.shape or not np.array_equal(truth, labels):
            raise InvalidDataError(f"{path} is of other rows than {paths[0].name}: capture them anew")
    width = scores.shape[1]
    names = tuple(classes) or tuple(str(index) for index in range(width))
    if len(names) != width or not 0 <= labels.min() <= labels.max() < width:
        raise InvalidDataError(
            f"{paths[0]}: scores of {width} classes and labels up to {labels.max()} don't fit"
            f" {len(names)} classes"
        )
    return Predictions(
        tuple(path.stem for path in paths), names, labels.astype(np.int64), tuple(each for each, _ in found)
    )


def _read(path: Path) -> tuple[ScoreArray, NDArray[np.int64]]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            scores, labels = arrays["scores"], arrays["label"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InvalidDataError(
            f"{path} can't be read as captured predictions, arrays `scores` and `label`: {error}"
        ) from None
    if scores.ndim != 2 or labels.shape != scores.shape[:1] or not len(labels):  # noqa: PLR2004 - [row, class]
        raise InvalidDataError(
            f"{path}: scores are {list(scores.shape)} and labels {list(labels.shape)}; they are [row, class]"
            " and [row]"
        )
    return scores, labels
