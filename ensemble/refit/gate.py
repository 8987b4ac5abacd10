"""Whether learned weights may replace the ones being served. Decides; reads and writes nothing.

Rule 1: the gain is judged on rows that took no part in the learning, and has to be sure, not likely.
Rule 2: nothing is published on data that raised an alarm, or from a solver that didn't converge.
Rule 3: a class that surely loses, or a large jump that nothing explains, needs a person; unless the weights
being served were never learned.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scipy.special import ndtr, ndtri

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
    findings: Findings = field(default_factory=Findings)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to publish, and every reason for or against it."""

    publish: bool
    reasons: tuple[str, ...]


def judge(trial: Trial, options: GateOptions | None = None) -> Verdict:
    """Publish only certified weights, from sound data, that are surely better on rows they didn't see."""
    options = options or GateOptions()
    against = list(trial.findings.alarms)
    if not trial.solution.converged:
        against.append(f"the solver did not converge: {trial.solution.message}")
    bound = trial.gain.mean - float(ndtri(options.confidence)) * trial.gain.standard_error
    moves, unit = "falls" if trial.gain.mean > 0 else "rises", " nats" if trial.measure == "log-loss" else ""
    figures = (
        f"held-out {trial.measure} {moves} by {abs(trial.gain.mean):.5f}"
        f" ± {trial.gain.standard_error:.5f}{unit} a row"
    )
    if trial.jump == 0 and not trial.other_pool:
        against.append("no other weights are clearly better than the ones being served")
    # Written so that a bound that is not a number holds.
    elif not bound > options.min_gain:
        against.append(
            f"the gain is not sure: {figures}, and {options.confidence:.0%} sure is only {bound:.5f}, not"
            f" above {options.min_gain:g}"
        )
    if trial.learned_before:
        against += [
            *_harmed("class", trial.class_gains, trial.measure, options),
            *_harmed("slice", trial.slice_gains, trial.measure, options),
            *_jumped(trial, options),
        ]
    if against:
        return Verdict(publish=False, reasons=tuple(against))
    return Verdict(publish=True, reasons=(f"{figures}, {options.confidence:.0%} sure is {bound:.5f}",))


def _jumped(trial: Trial, options: GateOptions) -> list[str]:
    if trial.jump <= options.max_jump or trial.findings.broken:
        return []
    moved = f"the weights would move by {trial.jump:.2f} in all, more than {options.max_jump:g}"
    return [f"{moved}, and no member is known to have broken"]


def _harmed(kind: str, gains: Mapping[str, Gain], measure: str, options: GateOptions) -> list[str]:
    """Return a sentence for each part whose loss surely rises by more than is allowed, after Holm."""
    # The chance of a loss as large as the one seen if the part lost no more than is allowed.
    chances = {
        name: float(ndtr((gain.mean + options.max_class_loss) / gain.standard_error))
        for name, gain in gains.items()
        if gain.standard_error > 0
    }
    harmed = []
    for index, (name, chance) in enumerate(sorted(chances.items(), key=lambda item: item[1])):
        if chance > (1 - options.confidence) / (len(chances) - index):
            break
        gain = gains[name]
        harmed.append(
            f"{kind} {name!r} loses: its held-out {measure} rises by {-gain.mean:.5f} ±"
            f" {gain.standard_error:.5f}, more than {options.max_class_loss:g}"
        )
    return harmed
