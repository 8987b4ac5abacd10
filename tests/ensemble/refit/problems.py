"""Weight-learning problems with known or computable answers."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from ensemble.refit.objective import Matrix, Vector
from ensemble.refit.predictions import Predictions
from ensemble.refit.sample import Sample


def true_class_scores(seed: int, rows: int = 80, members: int = 4) -> Matrix:
    """Return scores of members that differ in skill and share part of their errors."""
    random = np.random.default_rng(seed)
    shared = random.normal(size=(rows, 1))
    own = random.normal(size=(rows, members)) * random.uniform(0.5, 2, size=members)
    logits = random.normal(1, 0.7, size=members) + shared + own
    return np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float64)


def least_log_loss(scores: Matrix, steps: int = 3000) -> tuple[float, float]:
    """Return the least log-loss by EM steps in extended precision, and how far off it is at most."""
    exact = scores.astype(np.longdouble)
    weights = np.full(scores.shape[1], 1 / np.longdouble(scores.shape[1]))
    for _ in range(steps):
        weights = weights * (exact / (exact @ weights)[:, None]).mean(axis=0)
    gain = (exact / (exact @ weights)[:, None]).mean(axis=0)
    return float(-np.log(exact @ weights).mean()), float(np.log(gain.max()))


def log_loss(scores: Matrix, weights: Vector) -> float:
    """Return the plain formula, with no scaling and no blocks."""
    return float(-np.log(scores @ weights).mean())


def random_weights(seed: int, members: int) -> Vector:
    """Return a point of the simplex."""
    return np.asarray(np.random.default_rng(seed).dirichlet(np.ones(members)), dtype=np.float64)


seeds = st.integers(0, 10_000)
member_counts = st.integers(1, 8)


def sample_of(
    true_class: Matrix,
    *,
    groups: Sequence[int] | None = None,
    in_time: bool = False,
    weights: Sequence[float] | None = None,
) -> Sample:
    """Return two-class rows, all of class 0, whose members gave that class these scores."""
    scores = tuple(np.stack([column, 1 - column], axis=1).astype(np.float32) for column in true_class.T)
    names = tuple(f"m{index}" for index in range(len(scores)))
    rows = Predictions(names, ("yes", "no"), np.zeros(len(true_class), np.int64), scores)
    return replace(
        Sample.of(rows),
        true_class=np.asarray(true_class, dtype=np.float64),
        groups=None if groups is None else np.asarray(groups, dtype=np.int64),
        in_time=in_time,
        weights=None if weights is None else np.asarray(weights, dtype=np.float64),
    )


def class_sample(
    seed: int,
    *,
    rows: int = 200,
    classes: int = 4,
    evidence: Sequence[float] = (0.7, 1.0, 1.3),
    weights: NDArray[np.float64] | None = None,
) -> Sample:
    """Return rows of several classes; each member has independent evidence, and takes it for what it is."""
    random = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), random.integers(0, classes, rows - classes)])
    scores = []
    for strength in evidence:
        seen = strength * np.eye(classes)[labels] + random.normal(size=(rows, classes))
        odds = np.exp(strength * seen)
        scores.append((odds / odds.sum(axis=1, keepdims=True)).astype(np.float32))
    names = tuple(f"m{index}" for index in range(len(evidence)))
    predicted = Predictions(names, tuple("abcdefgh"[:classes]), labels.astype(np.int64), tuple(scores))
    return replace(Sample.of(predicted), weights=weights)
