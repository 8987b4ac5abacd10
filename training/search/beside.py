"""What a trial's network would add to an ensemble that is there already."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ensemble.data.dataset import open_dataset
from ensemble.errors import InvalidDataError
from ensemble.loading.load import load_servable
from ensemble.refit.captured import read_captured
from ensemble.refit.crossfit import Split, splits_of
from ensemble.refit.newcomers import held_out_gain, worth_of_each
from ensemble.refit.objective import Vector
from ensemble.refit.predictions import Predictions, predict_all
from ensemble.refit.sample import Sample
from model_store.store import Store
from training.data.parts import LABEL, Data

from .config import Beside

FOLDS = 5


@dataclass(frozen=True, slots=True, eq=False)
class CurrentEnsemble:
    """The members that are there, by their scores of the validation rows, and how much each counts now."""

    sample: Sample
    start: Vector
    splits: tuple[Split, ...]

    @classmethod
    def open(cls, beside: Beside, data: Data, validation: Path) -> Self:
        """Find the scores of the validation rows, which lie in the file `validation`.

        InvalidDataError for captured predictions of other rows.
        """
        labels = data.validation.label
        if labels is None:
            raise InvalidDataError(
                "what a trial adds to an ensemble is told from classes, and these rows have none"
            )
        if beside.predictions is not None:
            found = read_captured(beside.predictions, data.classes)
            start = np.full(len(found.members), 1 / len(found.members))
        else:
            servable = load_servable(Store.open(beside.store), beside.name)
            rows = open_dataset(
                [validation], servable.signature, label=LABEL, classes=servable.classes or data.classes
            )
            found = predict_all(servable, rows)
            start = np.array([servable.weights.by_member[name] for name in found.members])
        if not np.array_equal(found.labels, labels):
            raise InvalidDataError(
                "the ensemble's predictions are of other rows than this search's validation rows:"
                " capture them with the same [data]"
            )
        sample = Sample.of(found)
        return cls(sample, start, splits_of(sample, FOLDS))

    def worth(self, name: str, scores: NDArray[Any]) -> Mapping[str, float]:
        """Return what a network adds that gives the validation rows `scores`, in nats a row.

        "held_out_gain": on rows that weights weren't fitted on; "first_order_gain": g - 1.
        """
        found = self.sample.predictions
        newcomer = Predictions((name,), found.classes, found.labels, (scores,))
        (told,) = worth_of_each(self.sample, newcomer, self.start).values()
        gain, error = held_out_gain(self.sample, newcomer, self.splits, self.start)
        return {
            "held_out_gain": gain,
            "held_out_gain_error": error,
            "first_order_gain": float(told["first_order_gain"] or 0.0),
        }
