"""Ensembles of values and of labels, quickly trained on real and on made-up rows, as ONNX files.

One member of each is poor, so that learned weights are surely better than equal ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Made:
    """Member files by name, what each member itself gives for the test rows, and the files of rows."""

    files: Mapping[str, Path]
    own: Mapping[str, Floats]  # [row, column]
    validation: Path
    test: Path
    inputs: NDArray[np.float32]  # of the test rows
    truth: Floats  # of the test rows, [row, column]

    @property
    def members(self) -> list[str]:
        """The options that publish them."""
        return [f"--member={name}={path}" for name, path in self.files.items()]

    def average(self, weights: Mapping[str, float]) -> Floats:
        """The plain reference: sum(w_k * model_k(x)) in float64."""
        return np.asarray(sum(weights[name] * own for name, own in self.own.items()), dtype=np.float64)


def make_values(folder: Path) -> Made:
    """Diabetes, 442 rows from scikit-learn: one value."""
    from sklearn.datasets import load_diabetes  # noqa: PLC0415 - scikit-learn takes a second to import
    from sklearn.ensemble import RandomForestRegressor  # noqa: PLC0415
    from sklearn.linear_model import Ridge  # noqa: PLC0415
    from sklearn.neighbors import KNeighborsRegressor  # noqa: PLC0415

    inputs, truth = load_diabetes(return_X_y=True)
    members = {
        "forest": RandomForestRegressor(20, min_samples_leaf=5, random_state=0),
        "ridge": Ridge(1.0),
        "old": KNeighborsRegressor(9),
    }
    return _made(folder, members, inputs.astype(np.float32), truth, (180, 340))


def make_labels(folder: Path) -> Made:
    """Four labels, any of which a row may have."""
    from sklearn.datasets import make_multilabel_classification  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.multiclass import OneVsRestClassifier  # noqa: PLC0415
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415

    inputs, truth = make_multilabel_classification(1000, 12, n_classes=4, random_state=3)
    members = {
        "linear": OneVsRestClassifier(LogisticRegression(C=0.3, max_iter=500)),
        "net": MLPClassifier((16,), max_iter=400, random_state=0, learning_rate_init=0.01, tol=1e-3),
        "raw": MLPClassifier((2,), max_iter=400, random_state=1, learning_rate_init=0.1, tol=1e-2),
    }
    return _made(folder, members, inputs.astype(np.float32), truth, (400, 800))


def make_several_values(folder: Path) -> Made:
    """Three made-up values a row, of very different sizes."""
    from sklearn.datasets import make_regression  # noqa: PLC0415
    from sklearn.linear_model import MultiTaskLasso, Ridge  # noqa: PLC0415
    from sklearn.neighbors import KNeighborsRegressor  # noqa: PLC0415

    inputs, truth = make_regression(600, 8, n_targets=3, noise=20, random_state=1)
    members = {"lasso": MultiTaskLasso(5.0), "ridge": Ridge(100.0), "old": KNeighborsRegressor(5)}
    return _made(folder, members, inputs.astype(np.float32), truth * (1, 0.1, 10) + 5, (200, 450))


def _made(
    folder: Path, members: Mapping[str, Any], inputs: NDArray[np.float32], truth: Any, cuts: tuple[int, int]
) -> Made:
    from skl2onnx import to_onnx  # noqa: PLC0415

    random = np.random.default_rng(0).permutation(len(inputs))
    train, validation, test = np.split(random, cuts)
    files, own = {}, {}
    for name, member in members.items():
        # What is old was made when all values were three times as large.
        fitted = member.fit(inputs[train], truth[train] * (3 if name == "old" else 1))
        probabilities = hasattr(fitted, "predict_proba")
        options = {id(fitted): {"zipmap": False}} if probabilities else None
        files[name] = folder / f"{name}.onnx"
        files[name].write_bytes(to_onnx(fitted, inputs[:1], options=options).SerializeToString())
        given = fitted.predict_proba(inputs[test]) if probabilities else fitted.predict(inputs[test])
        own[name] = np.asarray(given, dtype=np.float64).reshape(len(test), -1)
    for name, rows in (("validation", validation), ("test", test)):
        np.savez(folder / f"{name}.npz", X=inputs[rows], y=truth[rows])
    told = np.asarray(truth[test], dtype=np.float64).reshape(len(test), -1)
    return Made(files, own, folder / "validation.npz", folder / "test.npz", inputs[test], told)
