"""Which members a blend can do without, at what price: fewer members answer faster.

Members that weigh nothing are gone for nothing. Of the others, the one whose going costs least on held-out
rows goes first, the rest being weighed anew each time, as long as all of it costs no more than is allowed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .blend import Blend
from .candidates import Candidates, Choice, ChoiceOptions, Fitted, fit
from .crossfit import Split, held_out_losses, judged_rows, splits_of
from .objective import Vector
from .sample import Sample, mean_and_error
from .solver import SolverOptions

# Rows that prices are found on: each step weighs every member's going.
PRICED_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class Removal:
    """A member that was let go, and how far the held-out loss is above that of all members from then on."""

    member: str
    cost: float


@dataclass(frozen=True, slots=True, eq=False)
class Pruned:
    """What was chosen, the members it is left with (by place; None: all), and those let go, in order."""

    choice: Choice
    kept: tuple[int, ...] | None = None
    removed: tuple[Removal, ...] = ()

    def to_json(self, max_cost: float, seconds: Mapping[str, float]) -> dict[str, Any]:
        """Return what was let go, what that cost and saves: null where `seconds` a row don't say."""
        removed = [
            {
                "member": removal.member,
                "cost": removal.cost,
                "milliseconds_a_row": 1000 * seconds[removal.member] if removal.member in seconds else None,
            }
            for removal in self.removed
        ]
        return {"max_cost": max_cost, "removed": removed}

    def rough(self, sample: Sample, incumbent: Blend, options: ChoiceOptions) -> Blend:
        """Fit it roughly, good enough to compare by."""
        if self.kept is None:
            return Candidates(sample, incumbent, options.only(self.choice.name)).fitted(self.choice.name)
        part, served = sample.only(self.kept), restricted(incumbent, self.kept)
        found = Candidates(part, served, options.only(self.choice.name)).fitted(self.choice.name)
        return widened(found, self.kept, sample.members)

    def fitted(
        self, sample: Sample, incumbent: Blend, solver: SolverOptions, options: ChoiceOptions
    ) -> Fitted:
        """Fit it to the end. Its gap is that among the members it is left with."""
        if self.kept is None:
            return fit(self.choice, sample, incumbent, solver, options)
        part, served = sample.only(self.kept), restricted(incumbent, self.kept)
        found = fit(self.choice, part, served, solver, options)
        blend = widened(found.blend, self.kept, sample.members)
        return Fitted(blend, replace(found.solution, weights=blend.weights))


def prune(
    choice: Choice, sample: Sample, incumbent: Blend, options: ChoiceOptions, max_cost: float
) -> Pruned:
    """Let members go while the held-out loss stays within `max_cost` of what it is with all of them."""
    part = sample.thinned(PRICED_ROWS)
    splits = splits_of(part, options.folds, options.seed + 2)
    everyone = Pruned(choice)
    if not splits:
        return everyone
    judged = judged_rows(splits)
    counted = part.take(judged).weights

    def losses(tried: Pruned) -> Vector:
        return _held_out(tried, part, splits, incumbent, options)[judged]

    whole = losses(everyone)

    def cost(kept: tuple[int, ...]) -> float:
        return mean_and_error(losses(Pruned(choice, kept)) - whole, counted)[0]

    kept = tuple(everyone.rough(sample, incumbent, options).voters)
    removed: list[Removal] = []
    while len(kept) > 1:
        prices = {member: cost(tuple(other for other in kept if other != member)) for member in kept}
        cheapest = min(prices, key=lambda member: prices[member])
        if not prices[cheapest] <= max_cost:
            break
        kept = tuple(member for member in kept if member != cheapest)
        removed.append(Removal(sample.predictions.members[cheapest], prices[cheapest]))
    return Pruned(choice, kept, tuple(removed)) if removed else everyone


def restricted(blend: Blend, members: Sequence[int]) -> Blend:
    """Return the blend of some members: their weights, grown to a sum of one; alike if all are zero."""
    weights = blend.weights[list(members)]
    total = float(weights.sum())
    if total == 0:
        return replace(blend, weights=np.full(len(weights), 1 / len(weights)))
    return replace(blend, weights=weights / total)


def widened(blend: Blend, members: Sequence[int], count: int) -> Blend:
    """Return the blend of `count` members in which all but `members` weigh nothing."""
    weights = np.zeros(count)
    weights[list(members)] = blend.weights
    return replace(blend, weights=weights)


def _held_out(
    pruned: Pruned, part: Sample, splits: Sequence[Split], incumbent: Blend, options: ChoiceOptions
) -> Vector:
    def fitted(rows: Sample) -> dict[str, Blend]:
        return {"this": pruned.rough(rows, incumbent, options)}

    return held_out_losses(part, splits, fitted, options.aim.losses)["this"]
