"""For Spark: `predict_batch_udf(PredictFn(ensemble), return_type=ArrayType(FloatType()), batch_size=256)`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidDataError
from ..member import Scores
from .stored_ensemble import StoredEnsemble, score_columns


@dataclass(frozen=True, slots=True)
class PredictFn:
    """What `predict_batch_udf` calls once in each Python worker, to make what it calls for each batch."""

    ensemble: StoredEnsemble

    def __call__(self) -> Callable[..., Scores]:
        """Load, and return what scores arrays `[row, ...]`, one for each input in the signature's order."""
        servable = self.ensemble.load()
        names = [spec.name for spec in servable.signature.inputs]

        def predict(*inputs: Any) -> Scores:
            if len(inputs) != len(names):
                raise InvalidDataError(
                    f"the ensemble takes {len(names)} columns, {', '.join(names)}; got {len(inputs)}"
                )
            return score_columns(servable, dict(zip(names, inputs, strict=True)))

        return predict
