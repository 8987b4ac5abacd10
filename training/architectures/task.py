"""What a network is built for: what it is given, and what it is to say."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.parts import Data


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and variance of an input over the training rows: of each feature, or of all pixels at once."""

    mean: tuple[float, ...]
    variance: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """The inputs by name, with the shape of a row of each; how many classes; whether a number is wanted.

    `spreads` are those of the training rows only: the other rows may not shape the network in any way.
    """

    inputs: Mapping[str, tuple[int, ...]]
    classes: int  # 0 for none
    value: bool
    spreads: Mapping[str, Spread]
    value_spread: Spread | None = None

    @property
    def image(self) -> str | None:
        """The name of the input that is an image, [height, width, channels], if there is one."""
        return next((name for name, shape in self.inputs.items() if len(shape) == _IMAGE_AXES), None)

    @property
    def table(self) -> str | None:
        """The name of the input that is a row of a table, [features], if there is one."""
        return next((name for name, shape in self.inputs.items() if len(shape) == 1), None)


_IMAGE_AXES = 3


def task_of(data: Data) -> Task:
    """Return what a network for `data` is built for."""
    train = data.train
    return Task(
        {name: array.shape[1:] for name, array in train.inputs.items()},
        len(data.classes),
        train.value is not None,
        {name: _spread(array) for name, array in train.inputs.items()},
        None if train.value is None else _spread(train.value.reshape(-1, 1)),
    )


def _spread(array: NDArray[np.float32]) -> Spread:
    """Measure in float64; what never changes is given variance 1, so that it comes out as 0."""
    axes = 0 if array.ndim <= 2 else None  # noqa: PLR2004 - [row, feature]
    mean = np.atleast_1d(array.mean(axis=axes, dtype=np.float64))
    variance = np.atleast_1d(array.var(axis=axes, dtype=np.float64))
    steady = np.where(variance > 0, variance, 1.0)
    return Spread(tuple(map(float, mean)), tuple(map(float, steady)))
