"""What a refit learned, and the evidence of it that a version keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from math import isfinite
from typing import Any

from ..truth import Truth
from .aims import PINBALL, aim_of
from .candidates import LOG as LOG_CANDIDATE
from .candidates import TEMPERATURE, Choice
from .checks import Findings
from .comparison import Comparison, Gain
from .gate import Verdict
from .solver import Solution

# What the figures depend on.
LIBRARIES = ("numpy", "scipy", "onnxruntime")


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """New weights for a servable's members, and everything known about them."""

    before: Mapping[str, float]
    after: Mapping[str, float]
    choice: Choice
    solution: Solution
    validation: Comparison
    test: Comparison | None
    gain: Gain  # over the weights being served, on rows that took no part in choice and fit
    findings: Findings
    verdict: Verdict
    figures: Mapping[str, Any] = field(default_factory=dict)  # for the report, by dataset
    pool: Mapping[str, Any] = field(default_factory=lambda: {"form": "linear"})  # as manifests name it
    objective: str = "log_loss"
    # By member: between what its weight would lie had the rows been others; what to serve without it.
    intervals: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    without: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    pruning: Mapping[str, Any] | None = None  # which members were let go, and what for
    rows_seen: Sequence[str] = ()  # a sketch of the validation rows, to know them again
    newcomers: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    truth: Truth = Truth.CLASSES
    learned_before: bool = True  # whether the weights served before were learned, too
    # What it took: "scoring" the validation rows, "weights" from their scores, and "all".
    seconds: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return what a version's manifest keeps as evidence of how its weights were learned."""
        solution = self.solution
        evidence: dict[str, Any] = {
            "truth": str(self.truth),
            "objective": self.objective,
            "pool": dict(self.pool),
            "solver": {
                "how": solution.how,
                "iterations": solution.iterations,
                "loss": solution.loss,
                "gap": solution.gap,
                "proves": proves(self.choice.name, self.objective),
                "converged": solution.converged,
                "message": solution.message,
            },
            "chosen": self.choice.name,
            "held_out": dict(self.choice.held_out),
            "held_out_gain": _json(self.gain),
            "notes": list(self.findings.notes),
            "validation": self.validation.to_json(),
            "verdict": {"publish": self.verdict.publish, "reasons": list(self.verdict.reasons)},
            "parts": {name: part.to_json() for name, part in self.verdict.parts.items()},
            "replaced": dict(self.before),
            "learned_before": self.learned_before,
            "libraries": _versions(),
            "figures": dict(self.figures),
            "weight_intervals": {name: [told["low"], told["high"]] for name, told in self.intervals.items()},
            "weights_used": {name: told["used"] for name, told in self.intervals.items()},
            "without": dict(self.without),
            "pruning": self.pruning,
            "rows_seen": list(self.rows_seen),
            "newcomers": {name: dict(told) for name, told in self.newcomers.items()},
            "slices": {name: part.to_json() for name, part in self.verdict.slices.items()},
            "seconds": dict(self.seconds),
        }
        return evidence if self.test is None else evidence | {"test": self.test.to_json()}


def proves(candidate: str, objective: str = "log_loss") -> str:
    """Say what a solution's gap is a bound of, up to "more than ... lower"."""
    if candidate.startswith(LOG_CANDIDATE):
        return "no other exponents of these members can have a log-loss, ridge included,"
    own = objective in ("log_loss", "brier", "mse") or objective.startswith(PINBALL)
    score = f"a {aim_of(objective).measure}" if own else "a log-loss"
    before = "before the temperature, " if candidate == TEMPERATURE else ""
    return f"{before}no other weighting of these members can have {score}"


def _versions() -> dict[str, str]:
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:  # built from source, or absent: nothing to report
            continue
    return found


def _json(held_out: Gain) -> dict[str, float | None]:
    return {
        name: value if isfinite(value) else None
        for name, value in (("mean", held_out.mean), ("standard_error", held_out.standard_error))
    }
