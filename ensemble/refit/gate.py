"""Whether learned weights may replace the ones being served. Decides; reads and writes nothing."""

from dataclasses import dataclass

from .comparison import Comparison
from .solver import Solution

# A loss that is lower by less than this, in nats, is lower by rounding.
LEAST_GAIN = 1e-9


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to publish, and every reason for or against it."""

    publish: bool
    reasons: tuple[str, ...]


def judge(solution: Solution, validation: Comparison, alarms: tuple[str, ...] = ()) -> Verdict:
    """Publish only certified weights, learned from sound data, whose validation loss is lower."""
    against = list(alarms)
    if not solution.converged:
        against.append(f"the solver did not converge: {solution.message}")
    before, after = validation.incumbent.log_loss, validation.learned.log_loss
    # An incumbent that gives a true class a score of zero has an infinite loss: anything finite is lower.
    if not after < before - max(LEAST_GAIN, solution.gap):
        against.append(
            f"validation log-loss is not lower: {before:.6f} with the weights being served,"
            f" {after:.6f} with the learned ones"
        )
    if against:
        return Verdict(publish=False, reasons=tuple(against))
    return Verdict(
        publish=True, reasons=(f"validation log-loss falls from {before:.6f} to {after:.6f} nats a row",)
    )
