"""What a model outside the ensemble would be worth inside, before anybody publishes it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import InvalidModelError, InvalidRequestError
from ..member import Member
from ..pooling.linear import LinearPool
from ..servable import Servable
from ..weights import Weights
from .aims import log_loss_of
from .blend import Blend
from .comparison import row_losses
from .crossfit import Split, held_out_losses, judged_rows
from .objective import LogLoss, Vector
from .predictions import Predictions, class_names
from .sample import Sample, mean_and_error
from .solver import solve


def worth_of_each(
    sample: Sample, newcomers: Predictions, start: Vector
) -> dict[str, dict[str, float | None]]:
    """Return, by newcomer, what it would add to the best average of the members on these rows.

    "first_order_gain", in nats a row: `g - 1`, how fast the loss falls as the newcomer's weight grows from
    zero; the loss can't fall by more than that. "gain": by how much it does fall when all are weighed anew,
    "weight": how much the newcomer then counts, "log_loss": its own, alone; null is infinite. The best
    average is looked for from the weights `start`.
    """
    best = solve(log_loss_of(sample), start)
    mixed = sample.true_class @ best.weights
    alone = Sample.of(newcomers)
    found: dict[str, dict[str, float | None]] = {}
    for index, name in enumerate(newcomers.members):
        scores = alone.true_class[:, index]
        growth, _ = mean_and_error(scores / mixed, sample.weights)
        joined = LogLoss.of(np.column_stack([sample.true_class, scores]), sample.weights)
        after = solve(joined, np.append(best.weights, 0.0))
        loss, _ = mean_and_error(row_losses(alone, Blend.alone(index, alone.members)), sample.weights)
        found[name] = {
            "first_order_gain": growth - 1,
            "gain": max(0.0, best.loss - after.loss),
            "weight": float(after.weights[-1]),
            "log_loss": loss if np.isfinite(loss) else None,
        }
    return found


def held_out_gain(
    sample: Sample, newcomer: Predictions, splits: Sequence[Split], start: Vector
) -> tuple[float, float]:
    """Return by how much the loss falls with the newcomer among the members, and the standard error, in nats.

    Cross-fitted: on the rows that each of `splits` judges, weights fitted to its other rows with the newcomer
    against weights fitted without it. Below 0 if it only seems to add something. `start` is where the search
    for weights begins, as in `worth_of_each`.
    """
    inside = sample.predictions
    everyone = replace(
        inside,
        members=(*inside.members, *newcomer.members),
        scores=(*inside.scores, *newcomer.scores),
    )
    joined = replace(
        sample,
        predictions=everyone,
        true_class=np.column_stack([sample.true_class, newcomer.true_class_scores()[sample.place]]),
    )

    def fit(rows: Sample) -> dict[str, Blend]:
        without = solve(log_loss_of(rows.only(range(sample.members))), start).weights
        begin = np.append(without, np.zeros(len(newcomer.members)))
        return {"without": Blend(begin), "with": Blend(solve(log_loss_of(rows), begin).weights)}

    losses = held_out_losses(joined, splits, fit)
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
                f"candidate {member.name!r} takes {sorted(wanted)}; the ensemble has {sorted(inputs)}"
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
