"""What the whole procedure gains on rows that took no part in it: in all, class by class, slice by slice."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .blend import Blend
from .candidates import ChoiceOptions, choose
from .comparison import Gain, gain
from .crossfit import held_out_losses, splits_of
from .objective import Vector
from .pruning import Pruned, prune
from .sample import Sample

# Scores, of 8 bytes each, that folds are made of: they are copied.
FOLDED_VALUES = 1 << 26
Masks = Mapping[str, NDArray[np.bool_]]
Part = tuple[str, NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Paired gains over what is being served, of the loss that decides; `classes` may be labels or values."""

    gain: Gain
    classes: Mapping[str, Gain] = field(default_factory=dict)
    slices: Mapping[str, Gain] = field(default_factory=dict)


def within_memory(sample: Sample) -> Sample:
    """Return rows enough to be sure of a gain: of more than memory should hold twice, every n-th."""
    rows = max(FOLDED_VALUES // sample.members, 1)
    return sample if sample.rows <= rows else sample.thinned(rows)


def on_held_out_rows(
    sample: Sample, incumbent: Blend, options: ChoiceOptions, slices: Masks | None = None
) -> HeldOut:
    """Choose and fit on some folds, judge on the others. `slices`, by name, say which rows they hold."""
    losses = procedure_losses(sample, incumbent, options)
    judged = np.flatnonzero(~np.isnan(losses))
    if len(judged) == 0:
        return HeldOut(Gain(float("nan"), float("nan")))
    # A copy of all rows would be as large as the sample.
    rows, learned = (sample, losses) if len(judged) == sample.rows else (sample.take(judged), losses[judged])
    served = options.aim.losses(rows, incumbent)
    named = {name: inside[judged] for name, inside in (slices or {}).items()}
    return HeldOut(
        gain(served, learned, rows),
        _gains(rows, served, learned, parts_of(rows)),
        _gains(rows, served, learned, named.items()),
    )


def parts_of(rows: Sample) -> Iterator[Part]:
    """Give which rows are of each class; or, where rows are questions, about each label or value."""
    if rows.predictions.asked.names:
        return iter(rows.predictions.asked.parts(rows.place).items())
    return rows.by_class()


def decide(sample: Sample, incumbent: Blend, options: ChoiceOptions) -> Pruned:
    """Choose among the candidates, and let members go where that is allowed."""
    choice = choose(sample, incumbent, options)
    if options.max_cost is None:
        return Pruned(choice)
    return prune(choice, sample, incumbent, options, options.max_cost)


def procedure_losses(sample: Sample, incumbent: Blend, options: ChoiceOptions) -> Vector:
    """Return each row's loss when choice and fit, all of it, saw only the other folds' rows.

    Not a number for rows that nothing judges: the first ones of rows in time.
    """

    def learned(rows: Sample) -> dict[str, Blend]:
        decided = decide(rows, incumbent, options)
        return {"learned": decided.rough(rows, incumbent, options.only(decided.choice.name))}

    splits = splits_of(sample, options.folds, options.seed + 1)
    if not splits:
        return np.full(sample.rows, np.nan)
    return held_out_losses(sample, splits, learned, options.aim.losses)["learned"]


def _gains(rows: Sample, served: Vector, learned: Vector, parts: Iterable[Part]) -> dict[str, Gain]:
    return {
        name: gain(served[inside], learned[inside], rows.take(inside))
        for name, inside in parts
        if inside.sum() > 1 and (rows.weights is None or rows.weights[inside].any())
    }
