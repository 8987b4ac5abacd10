"""Whether learned weights may replace the ones being served. Decides; reads and writes nothing.

Rule 1: the gain is judged on rows that took no part in the learning, and has to be sure, not likely.
Rule 2: nothing is published on data that raised an alarm, or from a solver that didn't converge.
Rule 3: a class that surely loses, or a large jump that nothing explains, needs a person; unless the weights
being served were never learned.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from scipy.special import ndtr, ndtri

from ..decimals import fixed
from .checks import Findings
from .comparison import Gain
from .solver import Solution


@dataclass(frozen=True, slots=True)
class GateOptions:
    """How sure a gain has to be, and what else may change. Gains and losses in nats a row.

    Where another loss than the log-loss decides, they are in its units.
    """

    min_gain: float = 0.0
    confidence: float = 0.95
    max_class_loss: float = 0.01  # by which a class's or slice's own loss may rise
    max_jump: float = 0.5  # sum of the weights' absolute changes


@dataclass(frozen=True, slots=True)
class Trial:
    """What the gate decides on: how the weights were learned, and what they'd change.

    The gains are paired, on held-out rows, of the loss called `measure`. `learned_before` says that the
    weights being served were learned too: those that nobody learned promise nothing to any class, and leaving
    them is no surprise.
    """

    solution: Solution
    gain: Gain
    class_gains: Mapping[str, Gain] = field(default_factory=dict)
    slice_gains: Mapping[str, Gain] = field(default_factory=dict)
    jump: float = 0.0  # sum of the weights' absolute changes
    other_pool: bool = False  # the scores would be pooled in another form, or at another temperature
    learned_before: bool = True
    measure: str = "log-loss"
    part: str = "class"  # what `class_gains` are of
    findings: Findings = field(default_factory=Findings)


@dataclass(frozen=True, slots=True)
class Part:
    """What Holm's test found of a class, label, value or slice: `chance` is its p, sure up to `limit`."""

    gain: Gain
    chance: float | None = None  # of a rise as large as the one seen if it rose by no more than is allowed
    limit: float | None = None
    loses: bool = False  # surely, by more than is allowed

    def to_json(self) -> dict[str, Any]:
        """Return the form that evidence holds; null isn't known."""
        told = {"mean": self.gain.mean, "standard_error": self.gain.standard_error}
        return {
            **{name: value if isfinite(value) else None for name, value in told.items()},
            "chance": self.chance,
            "limit": self.limit,
            "loses": self.loses,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to publish, and every reason for or against it.

    `parts` and `slices` say what was found of each class, label or value, and of each slice; what is found
    counts against the weights only where those being served were learned too.
    """

    publish: bool
    reasons: tuple[str, ...]
    parts: Mapping[str, Part] = field(default_factory=dict)
    slices: Mapping[str, Part] = field(default_factory=dict)


def judge(trial: Trial, options: GateOptions | None = None) -> Verdict:
    """Publish only certified weights, from sound data, that are surely better on rows they didn't see."""
    options = options or GateOptions()
    against = list(trial.findings.alarms)
    parts, slices = holm(trial.class_gains, options), holm(trial.slice_gains, options)
    if not trial.solution.converged:
        against.append(f"the solver did not converge: {trial.solution.message}")
    bound = trial.gain.mean - float(ndtri(options.confidence)) * trial.gain.standard_error
    moves, unit = "falls" if trial.gain.mean > 0 else "rises", " nats" if trial.measure == "log-loss" else ""
    figures = (
        f"held-out {trial.measure} {moves} by {fixed(abs(trial.gain.mean), 5)}"
        f" ± {fixed(trial.gain.standard_error, 5)}{unit} a row"
    )
    if trial.jump == 0 and not trial.other_pool:
        against.append("no other weights are clearly better than the ones being served")
    # Written so that a bound that is not a number holds.
    elif not bound > options.min_gain:
        against.append(
            f"the gain is not sure: {figures}, and {options.confidence:.0%} sure is only {fixed(bound, 5)},"
            f" not above {options.min_gain:g}"
        )
    if trial.learned_before:
        against += [
            *_harmed(trial.part, parts, trial.measure, options),
            *_harmed("slice", slices, trial.measure, options),
            *_jumped(trial, options),
        ]
    if against:
        return Verdict(publish=False, reasons=tuple(against), parts=parts, slices=slices)
    sure = f"{figures}, {options.confidence:.0%} sure is {fixed(bound, 5)}"
    return Verdict(publish=True, reasons=(sure,), parts=parts, slices=slices)


def _jumped(trial: Trial, options: GateOptions) -> list[str]:
    if trial.jump <= options.max_jump or trial.findings.broken:
        return []
    moved = f"the weights would move by {trial.jump:.2f} in all, more than {options.max_jump:g}"
    return [f"{moved}, and no member is known to have broken"]


def holm(gains: Mapping[str, Gain], options: GateOptions) -> dict[str, Part]:
    """Return for each part what was found, the surest loser first; those that nothing can be said of last.

    Holm's step-down test of "its loss rises by no more than `max_class_loss`": the chance of all is kept.
    """
    # The chance of a loss as large as the one seen if the part lost no more than is allowed.
    chances = {
        name: float(ndtr((gain.mean + options.max_class_loss) / gain.standard_error))
        for name, gain in gains.items()
        if gain.standard_error > 0
    }
    found, stopped = {}, False
    for index, (name, chance) in enumerate(sorted(chances.items(), key=lambda item: item[1])):
        limit = (1 - options.confidence) / (len(chances) - index)
        # Once one isn't sure, none after it is.
        stopped = stopped or chance > limit
        found[name] = Part(gains[name], chance, limit, loses=not stopped)
    return found | {name: Part(gain) for name, gain in gains.items() if name not in found}


def _harmed(kind: str, parts: Mapping[str, Part], measure: str, options: GateOptions) -> list[str]:
    """Return a sentence for each part whose loss surely rises by more than is allowed."""
    return [
        f"{kind} {name!r} loses: its held-out {measure} rises by {fixed(-part.gain.mean, 5)} ±"
        f" {fixed(part.gain.standard_error, 5)}, more than {options.max_class_loss:g}"
        for name, part in parts.items()
        if part.loses
    ]
