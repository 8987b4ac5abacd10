"""The weightings that compete, and the choice among them by their losses on rows they didn't see.

From simple to rich: the weights being served, uniform, weights shrunk towards those being served, the weights
of the least loss, and the best single member, which forgoes what averaging gives. A richer one has to be
clearly better than a simpler one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from .crossfit import capped_losses, folds_of, held_out_losses
from .newton import newton
from .objective import LogLoss, Matrix, Vector, gap_of
from .solver import Solution, SolverOptions, solve

INCUMBENT, UNIFORM, BEST_SINGLE, LINEAR = "incumbent", "uniform", "best_single", "linear"
SHRUNK = "shrunk_"
# How exactly the weights are fitted that only serve to compare candidates, in nats.
ROUGH = 1e-6
# How much of uniform weights a fit starts with: every member has to be within reach.
REVIVAL = 0.01


@dataclass(frozen=True, slots=True)
class ChoiceOptions:
    """How candidates are compared: in `folds` folds, on at most `rows` rows.

    `taus` are the candidates shrunk towards the weights being served, by how many rows these count for.
    """

    folds: int = 5
    taus: tuple[float, ...] = (300.0, 100.0, 30.0, 10.0)
    rows: int = 20_000
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The candidate that was chosen, and every candidate's loss on rows it didn't see."""

    name: str
    held_out: Mapping[str, float]  # nats a row


def choose(scores: Matrix, incumbent: Vector, options: ChoiceOptions) -> Choice:
    """Choose the simplest candidate whose held-out loss is within one standard error of the least.

    The standard error is that of the difference, row by row. `scores` are true-class scores `[row, member]`.
    """
    part = scores[:: -(-len(scores) // options.rows)]
    if len(part) < 2:  # noqa: PLR2004 - one row to fit, one to judge
        return Choice(LINEAR, {})
    folds = folds_of(len(part), options.folds, options.seed)
    losses = held_out_losses(part, folds, lambda fitted: fit_all(fitted, incumbent, options.taus))
    means = {name: float(loss.mean()) for name, loss in losses.items()}
    best = losses[min(means, key=lambda name: means[name])]
    return Choice(next(name for name, loss in losses.items() if _no_worse(loss - best)), means)


def fit(choice: Choice, scores: Matrix, incumbent: Vector, options: SolverOptions) -> Solution:
    """Fit the chosen candidate to all rows.

    `loss` and `gap` of the solution are those of the plain log-loss, whatever the candidate makes small.
    """
    objective = LogLoss.of(scores)
    if choice.name == LINEAR:
        return solve(objective, incumbent, options)
    if choice.name.startswith(SHRUNK):
        tau = float(choice.name.removeprefix(SHRUNK))
        solution = solve(objective.shrunk(incumbent, tau), incumbent, options)
        return _told(objective, solution, f"{solution.how}, shrunk by {tau:g} rows")
    weights = fit_all(scores, incumbent, ())[choice.name]
    given = Solution(weights, 0.0, 0.0, 0, converged=True, how="", message="")
    return _told(objective, given, choice.name.replace("_", " "))


def fit_all(scores: Matrix, incumbent: Vector, taus: tuple[float, ...]) -> dict[str, Vector]:
    """Return the weights of every candidate on these rows, from simple to rich, fitted roughly."""
    members = scores.shape[1]
    uniform = np.full(members, 1 / members)
    alone = [float(capped_losses(scores, one).mean()) for one in np.eye(members)]
    found = {INCUMBENT: incumbent, UNIFORM: uniform}
    objective = LogLoss.of(scores)
    point = (1 - REVIVAL) * incumbent + REVIVAL * uniform
    for tau in sorted(taus, reverse=True):
        reached = newton(objective.shrunk(incumbent, tau), point, tolerance=ROUGH, max_steps=60)
        found[f"{SHRUNK}{tau:g}"] = reached.weights
    found[LINEAR] = newton(objective, point, tolerance=ROUGH, max_steps=60).weights
    return found | {BEST_SINGLE: np.eye(members)[int(np.argmin(alone))]}


def procedure_losses(scores: Matrix, incumbent: Vector, options: ChoiceOptions) -> Vector:
    """Return each row's loss when choice and fit, all of it, saw only the other folds' rows."""

    def learned(rows: Matrix) -> dict[str, Vector]:
        choice = choose(rows, incumbent, options)
        taus = tuple(tau for tau in options.taus if choice.name == f"{SHRUNK}{tau:g}")
        return {"learned": fit_all(rows, incumbent, taus)[choice.name]}

    folds = folds_of(len(scores), options.folds, options.seed + 1)
    return held_out_losses(scores, folds, learned)["learned"]


def _no_worse(excess: Vector) -> bool:
    """Whether the mean of `excess` is within one standard error of zero."""
    return bool(excess.mean() <= excess.std(ddof=1) / np.sqrt(len(excess)))


def _told(objective: LogLoss, solution: Solution, how: str) -> Solution:
    """Return `solution` with its figures in terms of the plain objective."""
    loss, gradient = objective.value_and_gradient(solution.weights)
    return replace(solution, loss=loss, gap=gap_of(solution.weights, gradient), how=how)
