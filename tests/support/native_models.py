"""Models of other libraries, trained for a moment: written as these libraries do, with what they answer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Answer = Callable[[NDArray[np.float32]], NDArray[np.float64]]
TASKS = ("classes", "two-classes", "value")


def rows_of(task: str) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Return features, and targets: iris for classes, breast_cancer for two, diabetes for a value, digits."""
    from sklearn import datasets  # noqa: PLC0415 - slow to import

    load = {
        "classes": datasets.load_iris,
        "two-classes": datasets.load_breast_cancer,
        "value": datasets.load_diabetes,
        "digits": datasets.load_digits,
    }[task]
    features, targets = load(return_X_y=True)
    largest = 16 if task == "digits" else 1
    return (features / largest).astype(np.float32), targets


def write_lightgbm(path: Path, task: str) -> Answer:
    """Train 20 rounds and write LightGBM's text."""
    import lightgbm  # noqa: PLC0415 - slow to import

    objective = {"two-classes": "binary", "value": "regression"}.get(task, "multiclass")
    options = {"objective": objective, "verbose": -1, "num_threads": 1, "seed": 0}
    features, targets = rows_of(task)
    if objective == "multiclass":
        options["num_class"] = int(targets.max()) + 1
    lightgbm.train(options, lightgbm.Dataset(features, targets), 20).save_model(path)
    booster = lightgbm.Booster(model_file=path)
    return lambda rows: both_classes(booster.predict(rows, num_threads=1), task)


def write_xgboost(path: Path, task: str, objective: str | None = None) -> Answer:
    """Train 20 rounds and write XGBoost's JSON or UBJSON, as the path's ending says."""
    import xgboost  # noqa: PLC0415 - slow to import

    known = {"classes": "multi:softprob", "two-classes": "binary:logistic", "value": "reg:squarederror"}
    options = {"objective": objective or known[task], "nthread": 1, "seed": 0}
    if task == "classes":
        options["num_class"] = 3
    features, targets = rows_of(task)
    booster = xgboost.train(options, xgboost.DMatrix(features, targets), 20)
    booster.save_model(path)
    if objective == "multi:softmax":
        booster.set_param({"objective": "multi:softprob"})
    return lambda rows: both_classes(booster.predict(xgboost.DMatrix(rows)), task)


def both_classes(found: Any, task: str) -> NDArray[np.float64]:
    """Return scores [row, score] of what a library gives; of two classes it may give the second alone."""
    scores = np.asarray(found, np.float64).reshape(len(found), -1)
    if task == "two-classes" and scores.shape[1] == 1:
        return np.concatenate([1 - scores, scores], axis=1)
    return scores
