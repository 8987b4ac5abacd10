"""A sampler that learns how the loss runs, and looks where it may gain most: Bayesian optimization.

D. Jones, M. Schonlau, W. Welch, Efficient Global Optimization of Expensive Black-Box Functions (Journal of
Global Optimization 13, 1998): expected improvement. J. Snoek, H. Larochelle, R. Adams, Practical Bayesian
Optimization of Machine Learning Algorithms (NIPS 2012): the Matern 5/2 kernel, a length for each dimension.
Optuna's own Gaussian process needs PyTorch; this one is scikit-learn's.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

Floats = NDArray[np.float64]
STARTUP_TRIALS = 8  # drawn at random before there is anything to learn from
CANDIDATES = 2000  # so many points are weighed; one in four of them near the best trial
_NEAR = 0.1  # how far from the best, of a dimension's range


class GaussianProcessSampler(optuna.samplers.BaseSampler):
    """Draws the point of the greatest expected improvement among random ones.

    Learns from complete trials. What not every trial was asked for (a layer that only some have) is drawn at
    random. The same seed and history give the same draw.
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._independent = optuna.samplers.RandomSampler(seed=seed)

    def infer_relative_search_space(
        self,
        study: optuna.Study,
        trial: FrozenTrial,  # noqa: ARG002 - Optuna's signature
    ) -> dict[str, BaseDistribution]:
        """Return what every complete trial was asked for, and has more than one value."""
        space = optuna.search_space.intersection_search_space(study.get_trials(deepcopy=False))
        return {name: found for name, found in space.items() if not found.single()}

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,  # noqa: ARG002 - Optuna's signature
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """Return the values to try next; none while there are few trials to learn from."""
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        losses = np.array([found.value for found in done], dtype=np.float64)
        if not search_space or len(done) < STARTUP_TRIALS:
            return {}
        axes = [Axis(name, found) for name, found in sorted(search_space.items())]
        seen = np.stack([axis.places(done) for axis in axes], axis=1)
        points = self._candidates(axes, seen[int(np.argmin(losses))])
        gain = expected_improvement(_encoded(axes, seen), losses, _encoded(axes, points), self._random)
        best = points[int(np.argmax(gain))]
        return {axis.name: axis.value(float(place)) for axis, place in zip(axes, best, strict=True)}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw at random."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def _candidates(self, axes: Sequence["Axis"], best: Floats) -> Floats:
        """Return points `[candidate, axis]`: anywhere, and near the best."""
        points = self._random.random((CANDIDATES, len(axes)))
        near = slice(0, CANDIDATES // 4)
        moved = best + self._random.normal(scale=_NEAR, size=points[near].shape)
        # Of names none is near another: each is kept, or drawn anew once in five times.
        named = np.array([axis.names > 0 for axis in axes])
        kept = self._random.random(points[near].shape) > 1 / 5
        points[near] = np.where(named, np.where(kept, best, points[near]), np.clip(moved, 0, 1))
        return np.stack([axis.snapped(points[:, index]) for index, axis in enumerate(axes)], axis=1)


@dataclass(frozen=True, slots=True)
class Axis:
    """One dimension, as places from 0 to 1."""

    name: str
    distribution: BaseDistribution

    @property
    def names(self) -> int:
        """How many names there are to choose from; 0 for numbers."""
        found = self.distribution
        return len(found.choices) if isinstance(found, CategoricalDistribution) else 0

    def value(self, place: float) -> Any:
        """Return what stands at a place."""
        found = self.distribution
        if isinstance(found, CategoricalDistribution):
            return found.choices[min(int(place * len(found.choices)), len(found.choices) - 1)]
        low, high = self._ends()
        value = low + place * (high - low)
        value = float(np.exp(value)) if _is_log(found) else value
        if isinstance(found, IntDistribution):
            steps = round((value - found.low) / found.step)
            return int(min(max(found.low + steps * found.step, found.low), found.high))
        assert isinstance(found, FloatDistribution)  # noqa: S101 - Optuna has no other
        return min(max(value, found.low), found.high)

    def place(self, value: Any) -> float:
        """Return where a value stands; of a name, the middle of its part."""
        found = self.distribution
        if isinstance(found, CategoricalDistribution):
            return (found.choices.index(value) + 0.5) / len(found.choices)
        low, high = self._ends()
        return ((log(value) if _is_log(found) else value) - low) / (high - low)

    def places(self, trials: Sequence[FrozenTrial]) -> Floats:
        """Return where each trial stands."""
        return np.array([self.place(trial.params[self.name]) for trial in trials])

    def snapped(self, places: Floats) -> Floats:
        """Return the places of the values at `places`: whole numbers are no places between."""
        if isinstance(self.distribution, FloatDistribution):
            return places
        return np.array([self.place(self.value(float(place))) for place in places])

    def _ends(self) -> tuple[float, float]:
        found: Any = self.distribution
        return (log(found.low), log(found.high)) if _is_log(found) else (found.low, found.high)


def expected_improvement(seen: Floats, losses: Floats, points: Floats, random: np.random.Generator) -> Floats:
    """Return by how much each of `points` is expected to fall below the least of `losses`, found at `seen`.

    E[max(0, best - f)] = (best - m) Phi(z) + s phi(z), z = (best - m) / s, of the process' mean m and
    standard deviation s at the point.
    """
    from scipy.stats import norm  # noqa: PLC0415 - slow to import
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415 - heavy: only for this sampler
    from sklearn.gaussian_process import GaussianProcessRegressor  # noqa: PLC0415 - as above
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel  # noqa: PLC0415 - as above

    lengths = np.ones(seen.shape[1])
    kernel = ConstantKernel(1.0) * Matern(lengths, (0.05, 20.0), nu=2.5) + WhiteKernel(1e-2, (1e-6, 1.0))
    process = GaussianProcessRegressor(
        kernel, normalize_y=True, n_restarts_optimizer=1, random_state=int(random.integers(2**31))
    )
    with warnings.catch_warnings():
        # A dimension that doesn't matter has its length at the bound: no reason for alarm.
        warnings.simplefilter("ignore", ConvergenceWarning)
        process.fit(seen, losses)
    mean, spread = process.predict(points, return_std=True)
    ahead = losses.min() - mean
    z = ahead / np.maximum(spread, 1e-12)
    return np.asarray(ahead * norm.cdf(z) + spread * norm.pdf(z), dtype=np.float64)


def _encoded(axes: Sequence[Axis], places: Floats) -> Floats:
    """Return what the process sees: numbers as they are, of names one column each, all equally far apart."""
    columns = []
    for index, axis in enumerate(axes):
        if axis.names:
            chosen = np.minimum((places[:, index] * axis.names).astype(int), axis.names - 1)
            columns.append(np.eye(axis.names)[chosen] / np.sqrt(2))
        else:
            columns.append(places[:, index : index + 1])
    return np.concatenate(columns, axis=1)


def _is_log(distribution: Any) -> bool:
    return bool(distribution.log)
