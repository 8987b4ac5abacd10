"""What a model outside the ensemble would be worth inside, before anybody publishes it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import InvalidModelError, InvalidRequestError
from ..member import Member
from ..pooling.linear import LinearPool
from ..servable import Servable
from ..weights import Weights
from .aims import AIMS, Aim, log_loss_of
from .blend import Blend
from .comparison import told_losses
from .crossfit import Split, held_out_losses, judged_rows
from .objective import Vector
from .predictions import Predictions, class_names
from .sample import Sample, mean_and_error
from .solver import SolverOptions, solve


def worth_of_each(
    sample: Sample, newcomers: Predictions, start: Vector, aim: Aim | None = None
) -> dict[str, dict[str, float | None]]:
    """Return, by newcomer, what it would add to the best average of the members on these rows.

    "first_order_gain", in nats a row: how fast the loss falls as the newcomer's weight grows from zero, which
    for log-loss is `g - 1`; the loss can't fall by more than that. "gain": by how much it does fall when all
    are weighed anew, "weight": how much the newcomer then counts, "log_loss" (of values "loss"): its own,
    alone; null is infinite. The best average is looked for from the weights `start`. Values need an
    `aim`; all else is judged by log-loss.
    """
    values = sample.predictions.targets is not None
    judge = aim if values and aim is not None else AIMS["log_loss"]
    best = judge.solve(sample, start, SolverOptions())
    alone = Sample.of(newcomers)
    found: dict[str, dict[str, float | None]] = {}
    for index, name in enumerate(newcomers.members):
        with_it = joined(sample, newcomers.only([index]))
        begin = np.append(best.weights, 0.0)
        _, slope = judge.at(with_it, begin)
        after = judge.solve(with_it, begin, SolverOptions())
        own = told_losses(alone, Blend.alone(index, alone.members), judge)
        loss, _ = mean_and_error(own, sample.weights)
        found[name] = {
            "first_order_gain": float(slope @ begin - slope[-1]),
            "gain": max(0.0, best.loss - after.loss),
            "weight": float(after.weights[-1]),
            "loss" if values else "log_loss": loss if np.isfinite(loss) else None,
        }
    return found


def joined(sample: Sample, newcomers: Predictions) -> Sample:
    """Return the sample as if the newcomers were the last of the members."""
    inside = sample.predictions
    everyone = replace(
        inside, members=(*inside.members, *newcomers.members), scores=(*inside.scores, *newcomers.scores)
    )
    scores = np.column_stack([sample.true_class, newcomers.true_class_scores()[sample.place]])
    return replace(sample, predictions=everyone, true_class=scores, passes=None)


def held_out_gain(
    sample: Sample, newcomer: Predictions, splits: Sequence[Split], start: Vector
) -> tuple[float, float]:
    """Return by how much the loss falls with the newcomer among the members, and the standard error, in nats.

    Cross-fitted: on the rows that each of `splits` judges, weights fitted to its other rows with the newcomer
    against weights fitted without it. Below 0 if it only seems to add something. `start` is where the search
    for weights begins, as in `worth_of_each`.
    """
    with_it = joined(sample, newcomer)

    def fit(rows: Sample) -> dict[str, Blend]:
        without = solve(log_loss_of(rows.only(range(sample.members))), start).weights
        begin = np.append(without, np.zeros(len(newcomer.members)))
        return {"without": Blend(begin), "with": Blend(solve(log_loss_of(rows), begin).weights)}

    losses = held_out_losses(with_it, splits, fit)
    gains = (losses["without"] - losses["with"])[judged_rows(splits)]
    return mean_and_error(gains, None if sample.weights is None else sample.weights[judged_rows(splits)])


def as_ensemble(newcomers: Sequence[Member], servable: Servable) -> Servable:
    """Return `newcomers` as an ensemble of their own that takes and gives what `servable` does.

    InvalidRequestError for the name of a member, InvalidModelError for a model that can't take its rows or
    gives scores of other classes.
    """
    inputs = {spec.name for spec in servable.signature.inputs}
    names, classes = {member.name for member in servable.members}, len(class_names(servable))
    for member in newcomers:
        if member.name in names:
            raise InvalidRequestError(f"candidate {member.name!r} has the name of a member; give it another")
        wanted = {spec.name for spec in member.signature.inputs}
        if not wanted <= inputs:
            raise InvalidModelError(
                f"candidate {member.name!r} takes {sorted(wanted)}; the ensemble has {sorted(inputs)}: say"
                f" which is meant, as --member-input {member.name}=INPUT:ENSEMBLES"
            )
        shape = member.signature.outputs[0].shape
        if shape != (classes,):
            raise InvalidModelError(
                f"candidate {member.name!r} gives scores of shape {list(shape)} a row; the ensemble has"
                f" {classes} classes"
            )
    weights = Weights.uniform(member.name for member in newcomers)
    return replace(
        servable, members=tuple(newcomers), weights=weights, pool=LinearPool(weights), together=None
    )
