"""What a refit by the command tells Prometheus: a file for the node exporter's textfile collector."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from ensemble.errors import EnsembleError, InvalidRequestError
from model_store.errors import StoreError

# Told of the outcome and the evidence of a refit that came to an end.
Tell = Callable[[str, Mapping[str, Any]], None]


@contextmanager
def metrics_of(path: Path | None, model: str) -> Iterator[Tell]:
    """Give what writes the metrics to `path`, in one step; a refit that raises has failed: it is written too.

    Nothing is written for None. InvalidRequestError, at once, if `path` can't be written.
    """
    if path is None:
        yield lambda _outcome, _evidence: None
        return
    if path.suffix != ".prom" or not path.absolute().parent.is_dir():
        raise InvalidRequestError(
            f"--metrics is {path}; name a file that ends in .prom, in a folder that is there"
        )
    from prometheus_client import CollectorRegistry, write_to_textfile  # noqa: PLC0415 - only where it is used

    from server.telemetry.refits import RefitFigures, RefitMetrics  # noqa: PLC0415 - only where it is used

    registry = CollectorRegistry()
    metrics = RefitMetrics(registry)
    began = perf_counter()

    def tell(outcome: str, evidence: Mapping[str, Any]) -> None:
        metrics.finished(model, outcome, perf_counter() - began, figures=RefitFigures.of(evidence))
        write_to_textfile(str(path), registry)

    try:
        yield tell
    except (EnsembleError, StoreError):
        tell("failed", {})
        raise
