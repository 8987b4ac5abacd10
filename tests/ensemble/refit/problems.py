"""Weight-learning problems with known or computable answers."""

import numpy as np
from hypothesis import strategies as st

from ensemble.refit.objective import Matrix, Vector


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
