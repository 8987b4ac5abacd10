"""Finds exponents: of the members in a log pool, or the one of an average, which is its inverse temperature.

The log-loss of `softmax(sum(b_k * log scores_k))` is convex in the exponents `b >= 0`, which need not sum to
anything. A ridge draws them to where they'd be for want of evidence: 1 / members each. It makes the loss
strongly convex, so how much lower it could go is known exactly enough at every point, as for the average.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.optimize import nnls

from ..pooling.log import LOG as LOG_FORM
from ..pooling.tempering import floored_logs
from .blend import Blend
from .objective import Matrix, Vector
from .sample import Places, Sample

ENOUGH_DECREASE = 1e-4
SHORTEST_STEP = 1e-8
ROUNDING = 1e-13
# Float64 values that are kept rather than computed again at every step: 64 MiB.
KEPT_VALUES = 8 << 20
RULED_OUT = 0.01
# The exponents of members that say nothing are all zero; scores this soft say nothing either.
LARGEST_TEMPERATURE = 1e6


def floor_for(sample: Sample) -> float:
    """Return what a smaller score counts as: a hundredth of what each class gets of one who knows nothing.

    Members that rule a class out are rarely as right about that as they are sure.
    """
    return RULED_OUT / len(sample.predictions.classes)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some rows: what each member's logs are [row, member, class], which class is true, the rows' shares."""

    logs: NDArray[np.float64]
    labels: Places
    shares: Vector


@dataclass(frozen=True, slots=True, eq=False)
class LogPoolLoss:
    """Mean log-loss in nats of the log pool, plus `ridge / (2 rows) * |b - 1 / members|^2`."""

    sample: Sample
    ridge: float  # as if so many rows' worth of doubt; > 0
    average: Blend | None  # pool this and find its one exponent, rather than the members'
    kept: tuple[Block, ...] = ()

    @classmethod
    def of(cls, sample: Sample, ridge: float, average: Blend | None = None) -> Self:
        """Prepare to fit; logs are kept in memory where they are few."""
        loss = cls(sample, ridge, average)
        values = sample.rows * loss.exponents * len(sample.predictions.classes)
        return cls(sample, ridge, average, tuple(loss.blocks())) if values <= KEPT_VALUES else loss

    def at(self, ridge: float) -> Self:
        """Return the same loss under another ridge."""
        return type(self)(self.sample, ridge, self.average, self.kept)

    @property
    def exponents(self) -> int:
        """How many there are to find."""
        return self.sample.members if self.average is None else 1

    @property
    def strength(self) -> float:
        """The ridge's curvature."""
        return self.ridge / self.sample.rows

    @property
    def prior(self) -> float:
        """What the ridge draws each exponent to."""
        return 1 / self.exponents

    def blocks(self) -> Iterator[Block]:
        """Give the rows block by block."""
        if self.kept:
            yield from self.kept
            return
        sample, labels = self.sample, self.sample.labels
        weights = np.ones(sample.rows) if sample.weights is None else sample.weights
        shares = weights / weights.sum()
        pool = None if self.average is None else self.average.pool(sample.predictions.members)
        for rows, scores in sample.blocks():
            parts = (
                [score.astype(np.float64) for score in scores.values()]
                if pool is None
                else [pool.exact(scores)]
            )
            logs = np.stack([floored_logs(part, floor_for(self.sample)) for part in parts], axis=1)
            yield Block(logs, labels[rows], shares[rows])

    def value(self, exponents: Vector) -> float:
        """Return the loss, ridge included."""
        total = sum(float(block.shares @ _row_losses(block, exponents)[0]) for block in self.blocks())
        return total + self._penalty(exponents)

    def plain(self, exponents: Vector) -> float:
        """Return the loss without the ridge."""
        return self.value(exponents) - self._penalty(exponents)

    def value_gradient_hessian(self, exponents: Vector) -> tuple[float, Vector, Matrix]:
        """Return the loss with its slope and curvature, ridge included."""
        size = self.exponents
        total, gradient, hessian = 0.0, np.zeros(size), np.zeros((size, size))
        for block in self.blocks():
            losses, scores = _row_losses(block, exponents)
            total += float(block.shares @ losses)
            expected = np.einsum("rmc,rc->rm", block.logs, scores)
            true = block.logs[np.arange(len(losses)), :, block.labels]
            gradient += block.shares @ (expected - true)
            spread = block.logs - expected[:, :, None]
            spread *= np.sqrt(scores * block.shares[:, None])[:, None, :]
            hessian += (spread @ spread.transpose(0, 2, 1)).sum(axis=0)
        gradient += self.strength * (exponents - self.prior)
        return total + self._penalty(exponents), gradient, hessian + self.strength * np.eye(size)

    def gap(self, exponents: Vector, gradient: Vector) -> float:
        """Bound how much lower the loss can be for any exponents: it lies above its own tangent bowl."""
        strength = self.strength
        least = np.maximum(exponents - gradient / strength, 0) - exponents
        return max(0.0, -float(gradient @ least + strength / 2 * (least @ least)))

    def _penalty(self, exponents: Vector) -> float:
        off = exponents - self.prior
        return float(self.strength / 2 * (off @ off))


@dataclass(frozen=True, slots=True, eq=False)
class Exponents:
    """What was found: `gap` bounds how much lower the loss, ridge included, can be."""

    values: Vector
    gap: float
    steps: int


def find_exponents(loss: LogPoolLoss, start: Vector, *, tolerance: float, max_steps: int = 100) -> Exponents:
    """Take Newton steps over `b >= 0` until the gap is at most `tolerance`; the best point if it isn't."""
    point, best = start, Exponents(start, np.inf, 0)
    for step in range(max_steps + 1):
        value, gradient, hessian = loss.value_gradient_hessian(point)
        gap = loss.gap(point, gradient)
        if gap < best.gap:
            best = Exponents(point, gap, step)
        if gap <= tolerance or step == max_steps:
            break
        stepped = _step(loss, point, (value, gradient, hessian))
        if stepped is None:
            break
        point = stepped
    return best


def find_path(loss: LogPoolLoss, ridges: Sequence[float], *, tolerance: float) -> dict[float, Exponents]:
    """Find the exponents under each ridge, from the strongest on, each starting where the last one ended."""
    found, point = {}, np.full(loss.exponents, loss.prior)
    for ridge in sorted(ridges, reverse=True):
        found[ridge] = find_exponents(loss.at(ridge), point, tolerance=tolerance)
        point = found[ridge].values
    return found


def _row_losses(block: Block, exponents: Vector) -> tuple[Vector, Matrix]:
    """Return each row's log-loss and its pooled scores."""
    logits = exponents @ block.logs
    logits -= logits.max(axis=1, keepdims=True)
    odds = np.exp(logits)
    total = odds.sum(axis=1)
    losses = np.log(total) - logits[np.arange(len(total)), block.labels]
    return losses, odds / total[:, None]


def _step(loss: LogPoolLoss, point: Vector, at_point: tuple[float, Vector, Matrix]) -> Vector | None:
    """Go to the model's least over `b >= 0`, or part of the way; None where that lowers nothing."""
    value, gradient, hessian = at_point
    try:
        root = cholesky(hessian)
        wanted = solve_triangular(root, hessian @ point - gradient, trans="T")
        target, _ = nnls(root, wanted, maxiter=50 * len(point))
    except (LinAlgError, RuntimeError, ValueError):
        return None
    direction = target - point
    slope, length = float(gradient @ direction), 1.0
    while length >= SHORTEST_STEP:
        stepped = target if length == 1 else np.maximum(point + length * direction, 0)
        enough = value + ENOUGH_DECREASE * length * slope + ROUNDING * (1 + abs(value))
        if loss.value(stepped) <= enough:
            return np.asarray(stepped, dtype=np.float64)
        length /= 2
    return None


def log_blend(exponents: Vector, floor: float) -> Blend:
    """Return the log pool of these exponents: how they are shared out, and how large they are in all."""
    total = float(exponents.sum())
    if total * LARGEST_TEMPERATURE < 1:
        return Blend(np.full(len(exponents), 1 / len(exponents)), LOG_FORM, LARGEST_TEMPERATURE, floor)
    return Blend(np.asarray(exponents / total, dtype=np.float64), LOG_FORM, 1 / total, floor)


def temperature_of(exponent: Vector) -> float:
    """Return the temperature that one exponent for the whole average is."""
    return min(1 / max(float(exponent[0]), 1 / LARGEST_TEMPERATURE), LARGEST_TEMPERATURE)
