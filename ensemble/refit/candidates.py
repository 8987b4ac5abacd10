"""The blends that compete, and the choice among them by their losses on rows they didn't see.

From simple to rich: what is being served, uniform weights, weights shrunk towards those being served, the
weights of the least loss, the best single member, which forgoes what averaging gives; then, where they are
asked for, that average with a temperature, and log pools, under a strong ridge first. A richer one has to be
clearly better than a simpler one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from ..errors import InvalidRequestError
from ..pooling.linear import LINEAR as LINEAR_FORM
from .aims import ROUGH, Aim, aim_of, log_loss_of
from .blend import Blend
from .crossfit import held_out_losses, judged_rows, splits_of
from .exponents import (
    Exponents,
    LogPoolLoss,
    find_exponents,
    find_path,
    floor_for,
    log_blend,
    temperature_of,
)
from .newton import newton
from .objective import Vector, gap_of
from .sample import Sample, mean_and_error
from .solver import Solution, SolverOptions, solve
from .squared import drawn_towards

INCUMBENT, UNIFORM, BEST_SINGLE, LINEAR = "incumbent", "uniform", "best_single", "linear"
TEMPERATURE = "linear_temperature"
SHRUNK, LOG = "shrunk_", "log_"
POOLS = ("linear", "temperature", "log")
# How much of uniform weights a fit starts with: every member has to be within reach.
REVIVAL = 0.01
# Scores that fits of exponents go through to compare candidates.
COMPARED_VALUES = 1 << 20


@dataclass(frozen=True, slots=True)
class ChoiceOptions:
    """How candidates are compared: in `folds` folds, on at most `rows` rows.

    `taus` are the candidates shrunk towards the weights being served, by how many rows these count for.
    `pools` are the forms that compete, `ridges` the strengths under which log pools are fitted.
    """

    folds: int = 5
    taus: tuple[float, ...] = (300.0, 100.0, 30.0, 10.0)
    rows: int = 20_000
    seed: int = 0
    pools: tuple[str, ...] = ("linear",)
    ridges: tuple[float, ...] = (30.0, 10.0, 3.0, 1.0, 0.3)
    temperature_ridge: float = 10.0
    objective: str = ""  # see `aims.aim_of`; empty: what fits the scores, log-loss unless they are values
    max_cost: float | None = None  # of the loss that decides: what members may be let go for

    def __post_init__(self) -> None:
        """Refuse what there isn't."""
        if self.max_cost is not None and not self.max_cost >= 0:
            raise InvalidRequestError(f"what fewer members may cost is >= 0; got {self.max_cost}")
        if self.objective:
            aim_of(self.objective)
        unknown = [pool for pool in self.pools if pool not in POOLS]
        if unknown or not self.pools:
            raise InvalidRequestError(f"pools are some of {', '.join(POOLS)}; got {', '.join(self.pools)!r}")
        others = [pool for pool in self.pools if pool != "linear"]
        if others and self.objective not in ("", "log_loss"):
            raise InvalidRequestError(
                f"pools of form {', '.join(others)} are fitted for log-loss; with --objective"
                f" {self.objective} name linear alone"
            )

    def only(self, name: str) -> Self:
        """Return the options without log pools other than that name's: it can be fitted without them."""
        ridges = tuple(ridge for ridge in self.ridges if name == f"{LOG}{ridge:g}")
        return replace(self, ridges=ridges or self.ridges)

    @property
    def by_log_loss(self) -> bool:
        """Whether the log-loss decides."""
        return self.objective in ("", "log_loss")

    @property
    def aim(self) -> Aim:
        """The loss that decides."""
        return aim_of(self.objective or "log_loss")


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The candidate that was chosen, and every candidate's mean loss on rows it didn't see."""

    name: str
    held_out: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A candidate fitted to all rows. The solution's weights are the blend's."""

    blend: Blend
    solution: Solution


def choose(sample: Sample, incumbent: Blend, options: ChoiceOptions) -> Choice:
    """Choose the simplest candidate whose held-out loss is within one standard error of the least.

    The standard error is that of the difference, row by row, groups of rows counting as one.
    """
    part = sample.thinned(compared_rows(sample, options))
    splits = splits_of(part, options.folds, options.seed)
    if not splits:
        return Choice(LINEAR, {})
    losses = held_out_losses(
        part, splits, lambda fitted: fit_all(fitted, incumbent, options), options.aim.losses
    )
    judged = judged_rows(splits)
    rows = part.take(judged)
    found = {name: loss[judged] for name, loss in losses.items()}
    means = {name: mean_and_error(loss, rows.weights)[0] for name, loss in found.items()}
    best = found[min(means, key=lambda name: means[name])]
    return Choice(next(name for name, loss in found.items() if _no_worse(loss - best, rows)), means)


def fit(
    choice: Choice, sample: Sample, incumbent: Blend, solver: SolverOptions, options: ChoiceOptions
) -> Fitted:
    """Fit the chosen candidate to all rows.

    `loss` and `gap` of the solution are those of the plain loss, whatever the candidate makes small; but of a
    log pool `gap` is that of the loss with its ridge, and of a temperature that of the average before it. It
    is the whole loss where a pool that isn't a plain average stays in service.
    """
    name = choice.name
    if name == LINEAR:
        solution = options.aim.solve(sample, incumbent.weights, solver)
    elif name.startswith(SHRUNK):
        solution = _shrunk(float(name.removeprefix(SHRUNK)), sample, incumbent, solver, options)
    elif name == TEMPERATURE:
        return _with_temperature(
            solve(log_loss_of(sample), incumbent.weights, solver), sample, solver, options
        )
    elif name.startswith(LOG):
        return _log_pool(float(name.removeprefix(LOG)), sample, solver)
    else:
        blend = Candidates(sample, incumbent, options).fitted(name)
        given = Solution(blend.weights, 0.0, 0.0, 0, converged=True, how="", message="")
        return Fitted(blend, _told(sample, blend, given, name.replace("_", " "), options.aim))
    return Fitted(Blend(solution.weights), solution)


def _shrunk(
    tau: float, sample: Sample, incumbent: Blend, solver: SolverOptions, options: ChoiceOptions
) -> Solution:
    served = incumbent.weights
    if options.by_log_loss:
        solution = solve(log_loss_of(sample).shrunk(served, tau * sample.each), served, solver)
    else:
        solution = options.aim.solve(sample, served, solver)
        solution = replace(
            solution, weights=drawn_towards(served, solution.weights, tau, sample.rows / sample.each)
        )
    how = f"{solution.how}, shrunk by {tau:g} rows"
    return _told(sample, Blend(solution.weights), solution, how, options.aim)


def fit_all(sample: Sample, incumbent: Blend, options: ChoiceOptions) -> dict[str, Blend]:
    """Return every candidate on these rows, from simple to rich, fitted roughly."""
    candidates = Candidates(sample, incumbent, options)
    return {name: candidates.fitted(name) for name in candidates.names}


@dataclass(frozen=True, eq=False)
class Candidates:
    """What can be fitted to `sample`, roughly; nothing is computed before it is asked for."""

    sample: Sample
    incumbent: Blend
    options: ChoiceOptions

    @property
    def names(self) -> list[str]:
        """The candidates, from simple to rich."""
        options, found = self.options, [INCUMBENT, UNIFORM]
        # A temperature that is served is dropped, and competes by itself.
        if self.incumbent.form == LINEAR_FORM:
            found += [f"{SHRUNK}{tau:g}" for tau in sorted(options.taus, reverse=True)]
        found += [LINEAR] if "linear" in options.pools else []
        found.append(BEST_SINGLE)
        found += [TEMPERATURE] if "temperature" in options.pools else []
        if "log" in options.pools:
            found += [f"{LOG}{ridge:g}" for ridge in sorted(options.ridges, reverse=True)]
        return found

    def fitted(self, name: str) -> Blend:
        """Fit one candidate."""
        if name.startswith(SHRUNK):
            return Blend(self._shrunk(float(name.removeprefix(SHRUNK))))
        if name.startswith(LOG):
            return log_blend(self._path[float(name.removeprefix(LOG))].values, floor_for(self.sample))
        return self._plain[name]()

    @property
    def _plain(self) -> dict[str, Callable[[], Blend]]:
        return {
            INCUMBENT: lambda: self.incumbent,
            UNIFORM: lambda: Blend.uniform(self.sample.members),
            LINEAR: lambda: Blend(self._linear),
            BEST_SINGLE: self._best_single,
            TEMPERATURE: self._tempered,
        }

    @property
    def _start(self) -> Vector:
        uniform = np.full(self.sample.members, 1 / self.sample.members)
        return np.asarray((1 - REVIVAL) * self.incumbent.weights + REVIVAL * uniform, dtype=np.float64)

    @cached_property
    def _linear(self) -> Vector:
        return self.options.aim.rough(self.sample, self._start)

    @cached_property
    def _path(self) -> dict[float, Exponents]:
        ridges: Sequence[float] = self.options.ridges
        return find_path(LogPoolLoss.of(self.sample, max(ridges)), ridges, tolerance=ROUGH)

    def _shrunk(self, tau: float) -> Vector:
        if not self.options.by_log_loss:
            rows = self.sample.rows / self.sample.each
            return drawn_towards(self.incumbent.weights, self._linear, tau, rows)
        objective = log_loss_of(self.sample).shrunk(self.incumbent.weights, tau * self.sample.each)
        return newton(objective, self._start, tolerance=ROUGH, max_steps=60).weights

    def _best_single(self) -> Blend:
        alone = [Blend.alone(index, self.sample.members) for index in range(self.sample.members)]
        losses = [self.options.aim.losses(self.sample, blend) for blend in alone]
        means = [mean_and_error(loss, self.sample.weights)[0] for loss in losses]
        return alone[int(np.argmin(means))]

    def _tempered(self) -> Blend:
        loss = LogPoolLoss.of(self.sample, self.options.temperature_ridge, Blend(self._linear))
        found = find_exponents(loss, np.ones(1), tolerance=ROUGH)
        return Blend(self._linear, LINEAR_FORM, temperature_of(found.values), floor_for(self.sample))


def _log_pool(ridge: float, sample: Sample, solver: SolverOptions) -> Fitted:
    loss = LogPoolLoss.of(sample, ridge)
    start = np.full(loss.exponents, loss.prior)
    found = find_exponents(loss, start, tolerance=solver.tolerance, max_steps=solver.max_newton_steps)
    blend = log_blend(found.values, floor_for(sample))
    how = f"{found.steps} newton, log pool, ridge {ridge:g}"
    return Fitted(blend, _solved(found, blend, loss.plain(found.values), how, solver))


def _with_temperature(
    average: Solution, sample: Sample, solver: SolverOptions, options: ChoiceOptions
) -> Fitted:
    loss = LogPoolLoss.of(sample, options.temperature_ridge, Blend(average.weights))
    found = find_exponents(loss, np.ones(1), tolerance=solver.tolerance, max_steps=solver.max_newton_steps)
    blend = Blend(average.weights, LINEAR_FORM, temperature_of(found.values), floor_for(sample))
    how = f"{average.how}, then temperature {blend.temperature:.4f}"
    solution = _solved(found, blend, loss.plain(found.values), how, solver)
    converged = average.converged and solution.converged
    message = average.message or solution.message
    return Fitted(blend, replace(solution, gap=average.gap, converged=converged, message=message))


def _solved(found: Exponents, blend: Blend, loss: float, how: str, solver: SolverOptions) -> Solution:
    converged = found.gap <= solver.tolerance
    message = "" if converged else f"the gap {found.gap:.3g} is above the tolerance {solver.tolerance:.3g}"
    return Solution(blend.weights, loss, found.gap, found.steps, converged, how, message)


def compared_rows(sample: Sample, options: ChoiceOptions) -> int:
    """How many rows candidates are compared on."""
    if set(options.pools) <= {"linear"} and options.by_log_loss:
        return options.rows
    a_row = sample.members * len(sample.predictions.classes)
    return max(2, min(options.rows, COMPARED_VALUES // a_row))


def _no_worse(excess: Vector, rows: Sample) -> bool:
    """Whether the mean of `excess` is within one standard error of zero."""
    mean, error = mean_and_error(excess, rows.weights, rows.clusters)
    return not mean > error


def _told(sample: Sample, blend: Blend, solution: Solution, how: str, aim: Aim) -> Solution:
    """Return `solution` with its figures in terms of the plain loss."""
    if not blend.plain:
        with np.errstate(divide="ignore"):
            losses = -np.log(sample.true_class_scores(blend))
        loss = mean_and_error(losses, sample.weights)[0]
        # All that is known without fitting anything: no log-loss is below zero.
        return replace(solution, loss=loss, gap=loss, how=how)
    loss, gradient = aim.at(sample, blend.weights)
    return replace(solution, loss=loss, gap=gap_of(blend.weights, gradient), how=how)
