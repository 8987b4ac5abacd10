"""BentoML with batchable APIs: JSON over HTTP that holds each row's floats in base64.

    python -m peers.given.bentoml_server FOLDER PORT

BentoML takes JSON or multipart from outside; lists of numbers in JSON were slower than this by far. Its
batching learns from the calls so far how long to wait for more (`CorkDispatcher`), and forgets slowly: a lone
caller after a crowd waits as long as the crowd did. No option turns that off.
"""

import base64
import os
import sys

import bentoml
import numpy as np

from peers.given.engine import MOST_ROWS, engines


@bentoml.service(
    workers=1, traffic={"timeout": 60, "max_concurrency": 1024}, logging={"access": {"enabled": False}}
)
class Ensembles:
    """All ensembles."""

    def __init__(self) -> None:
        self._engines = engines(os.environ["GIVEN_FOLDER"])

    @bentoml.api(batchable=True, max_batch_size=MOST_ROWS)  # type: ignore[untyped-decorator]
    def images(self, rows: list[str]) -> list[list[float]]:
        """Score rows of the ensemble of this name."""
        return self._score("images", rows)

    @bentoml.api(batchable=True, max_batch_size=MOST_ROWS)  # type: ignore[untyped-decorator]
    def tabular(self, rows: list[str]) -> list[list[float]]:
        """Score rows of the ensemble of this name."""
        return self._score("tabular", rows)

    @bentoml.api(batchable=True, max_batch_size=MOST_ROWS)  # type: ignore[untyped-decorator]
    def heavy(self, rows: list[str]) -> list[list[float]]:
        """Score rows of the ensemble of this name."""
        return self._score("heavy", rows)

    def _score(self, name: str, rows: list[str]) -> list[list[float]]:
        engine = self._engines[name]
        floats = np.frombuffer(b"".join(map(base64.b64decode, rows)), np.float32)
        scores: list[list[float]] = engine.score(floats.reshape(-1, *engine.shape)).tolist()
        return scores


if __name__ == "__main__":
    os.environ["GIVEN_FOLDER"] = sys.argv[1]
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    service = f"{__package__}.bentoml_server:Ensembles"
    options = ["--host", "127.0.0.1", "--port", sys.argv[2]]
    os.execv(sys.executable, [sys.executable, "-m", "bentoml", "serve", service, *options])  # noqa: S606
