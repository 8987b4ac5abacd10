"""What else to keep with new weights: how sure they are, and what to serve when a member is missing."""

from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import InvalidDataError
from .blend import Blend
from .candidates import INCUMBENT, LINEAR, UNIFORM, Candidates, Choice, ChoiceOptions, compared_rows
from .comparison import told_losses
from .pruning import restricted, widened
from .sample import Sample, mean_and_error

DRAWS = 100
# Of the draws' weights, these two shares bound the interval: 95 of 100 lie within.
LOW, HIGH = 0.025, 0.975
# Rows that are drawn from; of more, every n-th.
DRAWN_ROWS = 20_000
# A member that weighs less than this in a draw isn't used by it.
USED = 0.01


def intervals(
    choice: Choice, learned: Blend, sample: Sample, incumbent: Blend, options: ChoiceOptions
) -> dict[str, dict[str, float]]:
    """Return, by member, what its weight might be had the rows been others: "low", "high", "mean", "used".

    A Bayesian bootstrap: the fit is done again with random row weights, the same for rows that belong
    together. "used" is the share of draws in which the member counts. Empty where nothing was fitted.
    """
    if choice.name in (INCUMBENT, UNIFORM):
        return {}
    part, random = (
        sample.thinned(min(DRAWN_ROWS, compared_rows(sample, options))),
        np.random.default_rng(options.seed),
    )
    # A row that stands for others, too, varies less than one that stands for itself.
    stands_for = sample.rows / part.rows
    clusters = (
        np.arange(part.rows) if part.clusters is None else np.unique(part.clusters, return_inverse=True)[1]
    )
    given = np.ones(part.rows) if part.weights is None else part.weights
    drawn = []
    for _ in range(DRAWS):
        weights = given * random.gamma(stands_for, size=int(clusters.max()) + 1)[clusters]
        if not weights.any():
            continue
        drawn.append(_fitted(choice, replace(part, weights=weights), incumbent, options))
    draws = np.array(drawn)
    if part.rows < sample.rows:
        draws = np.clip(draws + learned.weights - _fitted(choice, part, incumbent, options), 0, 1)
    low, high = np.quantile(draws, [LOW, HIGH], axis=0)
    return {
        name: {
            "low": float(low[index]),
            "high": float(high[index]),
            "mean": float(draws[:, index].mean()),
            "used": float((draws[:, index] >= USED).mean()),
        }
        for index, name in enumerate(sample.predictions.members)
    }


def without_each(
    choice: Choice, learned: Blend, sample: Sample, options: ChoiceOptions
) -> dict[str, dict[str, Any] | None]:
    """Return, by member that counts, what to serve when it alone is missing: "weights", "pool", "log_loss".

    Of values "loss" takes the place of "log_loss". Fitted to the others anew, within 1e-6 nats of the best:
    growing their weights to a sum of one isn't. Null where no other allows for some row's class, or there is
    no other.
    """
    names = sample.predictions.members
    found: dict[str, dict[str, Any] | None] = {}
    for index in learned.voters:
        others = [other for other in range(sample.members) if other != index]
        found[names[index]] = _without(others, choice, learned, sample, options) if others else None
    return found


def _without(
    others: list[int], choice: Choice, learned: Blend, sample: Sample, options: ChoiceOptions
) -> dict[str, Any] | None:
    part, start = sample.only(others), restricted(learned, others)
    name = LINEAR if choice.name == INCUMBENT and learned.plain else choice.name
    try:
        fitted = Candidates(part, start, options.only(name)).fitted(name)
    except InvalidDataError:
        return None
    blend = widened(fitted, others, sample.members)
    pool = blend.pool(sample.predictions.members)
    loss, _ = mean_and_error(told_losses(part, fitted, options.aim), part.weights)
    return {
        "weights": dict(pool.weights.by_member),
        "pool": pool.to_json(),
        "log_loss" if sample.predictions.targets is None else "loss": loss if np.isfinite(loss) else None,
    }


def _fitted(choice: Choice, rows: Sample, incumbent: Blend, options: ChoiceOptions) -> np.ndarray:
    return Candidates(rows, incumbent, options.only(choice.name)).fitted(choice.name).weights
