"""Which callbacks a configuration asks for, in the order in which they must run."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from training.config import Fit
from training.data.parts import Data, Part

from .captured import CaptureScores
from .state import BEST
from .watched import ActivationHistograms, NetworkGraph, Projector

LOSS = "val_loss"


@dataclass(frozen=True, slots=True)
class Places:
    """The files of one member's run.

    Attributes:
        run: Folder of the state, the losses (epochs.csv) and TensorBoard's files.
        scores: The validation rows' scores at the best epoch.
    """

    run: Path
    scores: Path

    @property
    def best(self) -> Path:
        """The network as it was when the held-out loss was least."""
        return self.run / BEST

    @property
    def losses(self) -> Path:
        """Each epoch's losses."""
        return self.run / "epochs.csv"

    @property
    def tensorboard(self) -> Path:
        """What `tensorboard --logdir` is pointed at, or a folder above."""
        return self.run / "tensorboard"


def choose(fit: Fit, places: Places, data: Data, stopping: Part, *, resumed: bool) -> list[Any]:
    """Return the callbacks of `fit`; `stopping` are the held-out rows that decide when to stop."""
    chosen: list[Any] = []
    if fit.schedule != "constant":
        chosen.append(keras.callbacks.LearningRateScheduler(_schedule(fit)))
    if fit.reduce_rate:
        reduce = fit.reduce_rate
        chosen.append(
            keras.callbacks.ReduceLROnPlateau(
                LOSS, factor=reduce.factor, patience=reduce.patience, min_lr=reduce.min_rate
            )
        )
    chosen.append(keras.callbacks.ModelCheckpoint(places.best, LOSS, save_best_only=True))
    chosen.append(CaptureScores(places.scores, data.validation))
    if fit.csv:
        chosen.append(keras.callbacks.CSVLogger(str(places.losses), append=resumed))
    if fit.tensorboard:
        chosen += _watching(fit, places, data, stopping)
    if fit.stop_early:
        stop = fit.stop_early
        chosen.append(keras.callbacks.EarlyStopping(LOSS, patience=stop.patience, min_delta=stop.min_delta))
    return chosen


def _watching(fit: Fit, places: Places, data: Data, stopping: Part) -> list[Any]:
    watch, folder = fit.tensorboard, places.tensorboard
    if watch is None:
        return []
    chosen: list[Any] = [
        keras.callbacks.TensorBoard(folder, histogram_freq=int(watch.histograms), write_graph=watch.graph)
    ]
    if watch.graph:
        chosen.append(NetworkGraph(folder / "graph"))
    if watch.activations:
        chosen.append(ActivationHistograms(folder / "activations", stopping))
    if watch.projector:
        # Beside the losses on the same held-out rows.
        chosen.append(Projector(folder / "validation", stopping, data.classes))
    return chosen


def _schedule(fit: Fit) -> Callable[[int, float], float]:
    """Return the learning rate of each epoch, counted from 0: it depends on nothing else."""

    def cosine(epoch: int, _rate: float) -> float:
        return fit.learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / fit.epochs))

    def exponential(epoch: int, _rate: float) -> float:
        return float(fit.learning_rate * 0.01 ** (epoch / fit.epochs))

    return cosine if fit.schedule == "cosine" else exponential
