"""The validation rows' scores at each best epoch: what the ensemble is fitted on."""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from training.data.parts import Part
from training.files import replace_file
from training.predict import predict


class CaptureScores(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Writes `path`, an NPZ with each output by name and the targets, whenever the held-out loss falls.

    So the ensemble can be asked what a member would add while the member still trains, and after its
    run was killed.
    """

    def __init__(self, path: Path, part: Part) -> None:
        super().__init__()
        self._path = path
        self._part = part
        self.best = np.inf  # the least held-out loss so far

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keras calls this with the epoch's losses."""
        loss = (logs or {}).get("val_loss", np.inf)
        if loss < self.best:
            self.best = loss
            outputs = predict(self.model, self._part.inputs)
            with replace_file(self._path) as made, made.open("wb") as file:
                np.savez(file, allow_pickle=False, epoch=epoch + 1, **outputs, **self._part.targets)
