"""New weights for a servable's members, judged against its own: all of a refit but the store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from ..errors import InvalidDataError
from ..servable import Servable
from .cache import ScoresCache
from .checks import alarms
from .comparison import Comparison, Contenders, best_single, compare
from .gate import Verdict, judge
from .objective import LogLoss
from .predictions import LabelledData, Predictions, Progress, predict_all
from .solver import Solution, SolverOptions, solve

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


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """New weights for a servable's members, and everything known about them."""

    before: Mapping[str, float]
    after: Mapping[str, float]
    solution: Solution
    validation: Comparison
    test: Comparison | None
    verdict: Verdict

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
            "validation": self.validation.to_json(),
            "verdict": {"publish": self.verdict.publish, "reasons": list(self.verdict.reasons)},
            "replaced": dict(self.before),
            "libraries": _versions(),
        }
        return evidence if self.test is None else evidence | {"test": self.test.to_json()}


def learn(servable: Servable, validation: LabelledData, options: LearnOptions | None = None) -> Learned:
    """Learn weights for `servable`'s members on `validation`, from the ones it has, and judge them.

    InvalidDataError for data that no weights can be learned from; MemberError for a member that fails.
    """
    options = options or LearnOptions()
    test = options.test
    if test is not None and test.digest == validation.digest:
        raise InvalidDataError("the test file is the validation file; use rows that the weights never saw")
    predictions = predict_all(servable, validation, batch_size=options.batch_size, progress=options.progress)
    names, before = predictions.members, servable.weights.by_member
    incumbent = np.array([before[name] for name in names])
    solution = solve(LogLoss.of(predictions.true_class_scores()), incumbent, options.solver)
    contenders = Contenders(incumbent, solution.weights, best_single(predictions))
    compared = compare(predictions, contenders, validation.digest)
    tested = None
    if test is not None:
        unseen = _predict(servable, test, options, validation.rows)
        tested = compare(unseen, contenders, test.digest)
    after = dict(zip(names, solution.weights.tolist(), strict=True))
    verdict = judge(solution, compared, alarms(predictions))
    return Learned(dict(before), after, solution, compared, tested, verdict)


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
