"""For Beam: `elements | RunInference(model_handler(ensemble))`; an element maps inputs to one row each."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InvalidDataError
from ..servable import Servable
from .stored_ensemble import StoredEnsemble, score_columns


def model_handler(ensemble: StoredEnsemble, *, max_batch_size: int = 256) -> Any:
    """Return Beam's ModelHandler of an ensemble: predictions are PredictionResults with scores `[class]`.

    InvalidDataError without Beam.
    """
    try:
        from apache_beam.ml.inference.base import ModelHandler, PredictionResult  # noqa: PLC0415 - optional
    except ImportError:
        raise InvalidDataError("Beam isn't installed: pip install apache-beam") from None

    class Handler(ModelHandler):  # type: ignore[misc,unused-ignore] # a class of Beam's, where it is
        """Loads once a process, and scores what Beam has put together."""

        def load_model(self) -> Servable:
            return ensemble.load()

        def run_inference(
            self,
            batch: Sequence[Mapping[str, Any]],
            model: Servable,
            inference_args: Mapping[str, Any] | None = None,  # noqa: ARG002 - Beam's
        ) -> Iterable[Any]:
            columns = {name: np.stack([np.asarray(row[name]) for row in batch]) for name in batch[0]}
            scores = score_columns(model, columns)
            return [PredictionResult(row, found) for row, found in zip(batch, scores, strict=True)]

        def batch_elements_kwargs(self) -> Mapping[str, Any]:
            return {"max_batch_size": max_batch_size}

        def get_num_bytes(self, batch: Sequence[Mapping[str, Any]]) -> int:
            return sum(np.asarray(value).nbytes for row in batch for value in row.values())

        def get_metrics_namespace(self) -> str:
            return "unisono"

    return Handler()
