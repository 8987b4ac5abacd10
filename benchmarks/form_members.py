"""Eight scikit-learn classifiers on digits and breast_cancer, as predictions that a refit can learn from."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from ensemble.refit.predictions import Predictions

DATASETS = {"digits": load_digits, "breast_cancer": load_breast_cancer}
# Scores are kept this far from zero: trees and neighbours rule classes out that do occur.
FLOOR = 1e-6


@dataclass(frozen=True)
class Split:
    """One split of a dataset: half to train the members on, a quarter to learn weights, a quarter to test."""

    validation: Predictions
    test: Predictions


def members(seed: int) -> dict[str, Any]:
    """Return classifiers that differ in kind."""
    return {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, random_state=seed)),
        "neighbours": make_pipeline(StandardScaler(), KNeighborsClassifier()),
        "bayes": GaussianNB(),
        "tree": DecisionTreeClassifier(random_state=seed),
        "forest": RandomForestClassifier(random_state=seed),
        "extra_trees": ExtraTreesClassifier(random_state=seed),
        "net": make_pipeline(StandardScaler(), MLPClassifier(max_iter=600, random_state=seed)),
        "discriminant": make_pipeline(StandardScaler(), LinearDiscriminantAnalysis()),
    }


def splits(dataset: str, count: int) -> Iterator[Split]:
    """Train the members on `count` splits of `dataset`."""
    x, y = DATASETS[dataset](return_X_y=True)
    for seed in range(count):
        train_x, rest_x, train_y, rest_y = train_test_split(
            x, y, test_size=0.5, stratify=y, random_state=seed
        )
        parts = train_test_split(rest_x, rest_y, test_size=0.5, stratify=rest_y, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted = {name: member.fit(train_x, train_y) for name, member in members(seed).items()}
            yield Split(predict(fitted, parts[0], parts[2]), predict(fitted, parts[1], parts[3]))


def predict(fitted: dict[str, Any], x: Any, y: Any) -> Predictions:
    """Score rows with every member."""
    scores = []
    for member in fitted.values():
        floored = np.maximum(member.predict_proba(x), FLOOR)
        scores.append((floored / floored.sum(axis=1, keepdims=True)).astype(np.float32))
    classes = tuple(str(index) for index in range(scores[0].shape[1]))
    return Predictions(tuple(fitted), classes, np.asarray(y, dtype=np.int64), tuple(scores))
