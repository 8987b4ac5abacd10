"""New weights for a servable's members, judged against its own: all of a refit but the store."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from math import isfinite
from typing import Any

import numpy as np

from ..errors import InvalidDataError
from ..servable import Servable
from .cache import ScoresCache
from .candidates import Choice, ChoiceOptions, choose, fit, procedure_losses
from .checks import Findings, check
from .comparison import Comparison, Contenders, Gain, best_single, compare, gain
from .crossfit import capped_losses
from .gate import GateOptions, Trial, Verdict, judge
from .objective import LogLoss, Matrix, Vector
from .predictions import LabelledData, Predictions, Progress, predict_all
from .report_data import figures
from .solver import Solution, SolverOptions

# What the figures depend on.
LIBRARIES = ("numpy", "scipy", "onnxruntime")


@dataclass(frozen=True, slots=True)
class LearnOptions:
    """How to learn. `test` rows are kept out of the learning: reported, never decided on."""

    test: LabelledData | None = None
    batch_size: int = 256  # rows
    cache: ScoresCache | None = None
    progress: Progress | None = None  # counts validation rows, then test rows on top
    solver: SolverOptions = field(default_factory=SolverOptions)
    choice: ChoiceOptions = field(default_factory=ChoiceOptions)
    gate: GateOptions = field(default_factory=GateOptions)


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

    def to_json(self) -> dict[str, Any]:
        """Return what a version's manifest keeps as evidence of how its weights were learned."""
        solution = self.solution
        evidence: dict[str, Any] = {
            "objective": "log_loss",
            "solver": {
                "how": solution.how,
                "iterations": solution.iterations,
                "loss": solution.loss,
                "gap": solution.gap,
                "converged": solution.converged,
                "message": solution.message,
            },
            "chosen": self.choice.name,
            "held_out": dict(self.choice.held_out),
            "held_out_gain": _json(self.gain),
            "notes": list(self.findings.notes),
            "validation": self.validation.to_json(),
            "verdict": {"publish": self.verdict.publish, "reasons": list(self.verdict.reasons)},
            "replaced": dict(self.before),
            "libraries": _versions(),
            "figures": dict(self.figures),
        }
        return evidence if self.test is None else evidence | {"test": self.test.to_json()}


def learn(
    servable: Servable,
    validation: LabelledData,
    options: LearnOptions | None = None,
    *,
    evidence: Mapping[str, Any] | None = None,
) -> Learned:
    """Learn weights for `servable`'s members on `validation`, from the ones it has, and judge them.

    `evidence` is that of the servable's version: what its members' losses were when they were last seen.
    InvalidDataError for data that no weights can be learned from; MemberError for a member that fails.
    """
    options, evidence = options or LearnOptions(), evidence or {}
    test = options.test
    if test is not None and test.digest == validation.digest:
        raise InvalidDataError("the test file is the validation file; use rows that the weights never saw")
    predictions = _predict(servable, validation, options, 0)
    names, before = predictions.members, servable.weights.by_member
    incumbent = np.array([before[name] for name in names])
    scores = predictions.true_class_scores()
    # Before the folds are made, so that an impossible row is named by its place in the file.
    LogLoss.of(scores)
    learned_before = "validation" in evidence
    # Weights that nobody learned are no prior: shrinking towards them would only keep what was never judged.
    among = options.choice if learned_before else replace(options.choice, taus=())
    choice = choose(scores, incumbent, among)
    solution = fit(choice, scores, incumbent, options.solver)
    contenders = Contenders(incumbent, solution.weights, best_single(predictions))
    compared = compare(predictions, contenders, validation.digest)
    tested, shown = None, {"validation": figures(predictions, incumbent, solution.weights)}
    if test is not None:
        unseen = _predict(servable, test, options, validation.rows)
        tested = compare(unseen, contenders, test.digest)
        shown["test"] = figures(unseen, incumbent, solution.weights)
    findings = check(predictions, compared, evidence)
    held_out, by_class = _gains(predictions, scores, incumbent, among)
    jump = float(np.abs(solution.weights - incumbent).sum())
    trial = Trial(solution, held_out, by_class, jump, learned_before, findings)
    after = dict(zip(names, solution.weights.tolist(), strict=True))
    verdict = judge(trial, options.gate)
    return Learned(
        dict(before), after, choice, solution, compared, tested, held_out, findings, verdict, shown
    )


def _gains(
    predictions: Predictions, scores: Matrix, incumbent: Vector, options: ChoiceOptions
) -> tuple[Gain, dict[str, Gain]]:
    """Return the gain of the whole procedure on held-out rows: over all of them, and class by class."""
    if predictions.rows < 2:  # noqa: PLR2004 - one row to learn from, one to judge by
        return Gain(float("nan"), float("nan")), {}
    served, learned = capped_losses(scores, incumbent), procedure_losses(scores, incumbent, options)
    of_class = {name: predictions.labels == index for index, name in enumerate(predictions.classes)}
    by_class = {name: gain(served[rows], learned[rows]) for name, rows in of_class.items() if rows.sum() > 1}
    return gain(served, learned), by_class


def _predict(servable: Servable, data: LabelledData, options: LearnOptions, start: int) -> Predictions:
    """Score `data`; progress is counted from `start`."""
    told = options.progress
    progress = None if told is None else lambda done: told(start + done)
    return predict_all(servable, data, batch_size=options.batch_size, cache=options.cache, progress=progress)


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
