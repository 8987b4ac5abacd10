"""A search whose trials train a linear model instead of a network, so that no TensorFlow is needed.

usage: python -m tests.training.search.without_networks FOLDER KILLED_IN_TRIAL
"""

import hashlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

from training.data.parts import Data
from training.make import PREDICTIONS, Order, figures
from training.progress import OnProgress, Progress
from training.receipts import Trained
from training.search import tune

CONFIG = """
[data]
source = "breast_cancer"
[fit]
epochs = 2
[search]
sampler = "random"
trials = 5
seed = 5
keep = 2
[search.space]
architecture = { choice = ["bndense"] }
"fit.learning-rate" = { log = [1e-3, 1e-1] }
"""


def fitted(rate: float, data: Data) -> Any:
    """A logistic regression; the rate is its freedom."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - a second to import
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    model = make_pipeline(StandardScaler(), LogisticRegression(C=rate))
    return model.fit(data.train.inputs["features"], data.train.label)


def make(order: Order, on_progress: OnProgress) -> Trained:
    """Make a member of a kind: its file holds the rate alone."""
    rate = order.member.fit.learning_rate
    scores = fitted(rate, order.data).predict_proba(order.data.validation.inputs["features"])
    told = figures({"scores": scores}, order.data.validation)
    on_progress(Progress(order.member.name, 1, 2, told["log_loss"]))
    file = order.folder / f"{order.member.name}.keras"
    file.write_text(repr(rate))
    captured = order.folder / PREDICTIONS / f"{order.member.name}.npz"
    captured.parent.mkdir(exist_ok=True)
    np.savez(captured, allow_pickle=False, scores=scores, **order.data.validation.targets)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return Trained(order.member.name, "keras", file.name, digest, 31, 2, 0.5, told)


@contextmanager
def linear(killed_in: int = -1) -> Iterator[None]:
    """Search so while the block runs; the process is killed once that trial's member is written."""

    def made(order: Order, on_progress: OnProgress) -> Trained:
        trained = make(order, on_progress)
        if trained.name == tune.member_name(killed_in):
            os.kill(os.getpid(), signal.SIGKILL)
        return trained

    def outputs(file: Path, data: Data) -> Any:
        return {"scores": fitted(float(file.read_text()), data).predict_proba(data.test.inputs["features"])}

    keras = SimpleNamespace(utils=SimpleNamespace(clear_session=lambda: None))
    with (
        patch.object(tune, "import_keras", lambda *_: keras),
        patch.object(tune, "make", made),
        patch.object(tune, "_test_outputs", outputs),
    ):
        yield


if __name__ == "__main__":
    from training.search.config import TuneConfig

    place = Path(sys.argv[1])
    with linear(int(sys.argv[2])):
        tune.tune(place / "found", TuneConfig.read(place / "search.toml"), lambda *_: None)
