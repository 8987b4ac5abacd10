"""Batches of rows in an order that only the seed and the epoch decide."""

import math
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from training.data.parts import Part


class ShuffledRows(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """The rows of `part` for `fit`; a run that begins at epoch 7 sees what epoch 7 of a whole run sees.

    Keras' own shuffling draws from a state that a killed process takes with it.
    """

    def __init__(self, part: Part, batch_rows: int, seed: int) -> None:
        super().__init__()
        self._inputs = tuple(part.inputs.values())
        self._targets = tuple(part.targets.values())
        self._batch_rows = batch_rows
        self._seed = seed
        self._rows = part.rows
        self._order: NDArray[np.int64] = np.arange(part.rows)

    def shuffle(self, epoch: int) -> None:
        """Take up the order of this epoch, counted from 0."""
        self._order = np.random.default_rng([self._seed, epoch]).permutation(self._rows)

    def __len__(self) -> int:
        return math.ceil(self._rows / self._batch_rows)

    def __getitem__(self, batch: int) -> tuple[Any, Any]:
        taken = self._order[batch * self._batch_rows : (batch + 1) * self._batch_rows]
        return one_or_all([array[taken] for array in self._inputs]), one_or_all(
            [array[taken] for array in self._targets]
        )


class BeginEpoch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Tell `rows` which epoch begins, and seed what the network draws in it (dropout) by the epoch, too."""

    def __init__(self, rows: ShuffledRows, seed: int) -> None:
        super().__init__()
        self._rows = rows
        self._seed = seed

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras' signature
        """Keras calls this before the epoch's first batch."""
        self._rows.shuffle(epoch)
        for index, variable in enumerate(_random_states(self.model)):
            variable.assign([self._seed, epoch * 1000 + index])


def one_or_all(arrays: list[Any]) -> Any:
    """Return a lone array as it is, several as a tuple: as Keras takes inputs and targets."""
    return arrays[0] if len(arrays) == 1 else tuple(arrays)


def _random_states(network: Any) -> list[Any]:
    """Return the variables that the network's random layers draw from, in the order of the layers."""
    return [
        variable for variable in network.non_trainable_variables if variable.name == "seed_generator_state"
    ]
