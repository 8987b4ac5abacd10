"""What all data have: three parts, each with named inputs and one or two targets."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LABEL = "label"
VALUE = "value"
# One split for every run and every seed: a test row of one run must not be a training row of another.
SPLIT_SEED = 20260701


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one part.

    `inputs` maps names to float32 [row, ...]; `label` is int64 [row], an index into the classes, and
    `value` float32 [row], a number to predict. One of them may be missing, not both.
    """

    inputs: Mapping[str, NDArray[np.float32]]
    label: NDArray[np.int64] | None = None
    value: NDArray[np.float32] | None = None

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(next(iter(self.inputs.values())))

    @property
    def targets(self) -> dict[str, NDArray[Any]]:
        """The targets there are, by the names that a data file gives them."""
        return {
            name: array for name, array in ((LABEL, self.label), (VALUE, self.value)) if array is not None
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return inputs and targets, by the names that a data file gives them."""
        return {**self.inputs, **self.targets}

    def take(self, indices: NDArray[np.int64]) -> "Part":
        """Return the rows at `indices`, in that order."""
        return Part(
            {name: array[indices] for name, array in self.inputs.items()},
            None if self.label is None else self.label[indices],
            None if self.value is None else self.value[indices],
        )


@dataclass(frozen=True, slots=True)
class Data:
    """Three parts: members learn from `train`, weights from `validation`; `test` is only reported on.

    `classes` are the names of the classes, empty where there are only numbers to predict.
    """

    train: Part
    validation: Part
    test: Part
    classes: tuple[str, ...]

    @property
    def digest(self) -> str:
        """The sha256, in hex, of what members are made and judged on: other rows make other members."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for part in (self.train, self.validation):
            for name, array in part.arrays().items():
                digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
        return digest.hexdigest()


def divide(part: Part, share: float, *, seed: int) -> tuple[Part, Part]:
    """Split `part` in two, the second with `share` of its rows, each class in the same proportion."""
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 - heavy: only when members are trained

    indices = np.arange(part.rows, dtype=np.int64)
    first, second = train_test_split(indices, test_size=share, stratify=part.label, random_state=seed)
    return part.take(first), part.take(second)


def three_parts(whole: Part, classes: tuple[str, ...]) -> Data:
    """Split 60, 20 and 20 percent. The same rows every time."""
    train, rest = divide(whole, 0.4, seed=SPLIT_SEED)
    validation, test = divide(rest, 0.5, seed=SPLIT_SEED)
    return Data(train, validation, test, classes)
