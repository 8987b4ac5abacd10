"""New weights for a servable's members, judged against its own: all of a refit but the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from ..errors import InvalidDataError, InvalidRequestError
from ..member import Member
from ..pooling.log import LOG
from ..servable import Servable
from ..truth import Truth
from .aftercare import intervals, without_each
from .aims import Aim, log_loss_of, objective_for
from .blend import Blend
from .cache import ScoresCache
from .candidates import ChoiceOptions, Fitted
from .checks import check, leaked
from .comparison import LOG_LOSS, Comparison, Contenders, best_single, compare
from .distributed import Distributed
from .fingerprints import sketch
from .gate import GateOptions, Trial, judge
from .learned import Learned
from .newcomers import as_ensemble, worth_of_each
from .predictions import LabelledData, Predictions, Progress, predict_all
from .pruning import Pruned
from .report_data import figures
from .row_columns import RowColumns
from .sample import Sample
from .solver import SolverOptions
from .trying import HeldOut, decide, on_held_out_rows, within_memory

# Objectives whose losses aren't told in any case.
UNUSUAL = ("f1", "auc")


@dataclass(frozen=True, slots=True)
class LearnOptions:
    """How to learn. `test` rows are kept out of the learning: reported, never decided on."""

    test: LabelledData | None = None
    batch_size: int = 256  # rows
    cache: ScoresCache | None = None
    progress: Progress | None = (
        None  # counts validation rows, then test rows on top; first, those in the cache
    )
    solver: SolverOptions = field(default_factory=SolverOptions)
    choice: ChoiceOptions = field(default_factory=ChoiceOptions)
    gate: GateOptions = field(default_factory=GateOptions)
    columns: RowColumns = field(default_factory=RowColumns)
    distributed: Distributed | None = None  # who works, if not this process alone; needs a cache
    scratch: Path | None = None  # a folder for what memory can't hold
    newcomers: Sequence[Member] = ()  # models outside the ensemble, to say what each would add


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
    options, evidence = _fitting(options or LearnOptions(), servable), evidence or {}
    if options.test is not None and options.test.digest == validation.digest:
        raise InvalidDataError("the test file is the validation file; use rows that the weights never saw")
    clock = _Clock()
    sample = options.columns.sample(_predict(servable, validation, options, 0))
    clock.stop("scoring")
    if options.distributed is not None:
        sample = options.distributed.passing(sample)
    # Before the folds are made, so that an impossible row is named by its place in the file.
    if servable.truth is not Truth.VALUES:
        log_loss_of(sample)
    names, before = sample.predictions.members, servable.weights.by_member
    incumbent, learned_before = Blend.of_pool(servable.pool, names), "validation" in evidence
    among = _among(options.choice, incumbent, learned_before=learned_before)
    decided = decide(sample, incumbent, among)
    clock.restart()
    fitted = decided.fitted(sample, incumbent, options.solver, among)
    clock.stop("weights")
    decides = among.aim if among.objective in UNUSUAL or servable.truth is Truth.VALUES else None
    contenders = Contenders(incumbent, fitted.blend, best_single(sample, decides))
    compared = compare(sample, contenders, validation.digest, decides)
    tested, shown, notes = _on_test_rows(servable, sample.predictions, options, (contenders, decides))
    findings = check(sample, compared, evidence)
    findings = replace(findings, notes=(*findings.notes, *notes))
    some = within_memory(sample)
    held_out = on_held_out_rows(some, incumbent, among, options.columns.slices_of(some))
    trial = replace(
        _trial(held_out, fitted, incumbent),
        measure=among.aim.measure,
        part={Truth.CLASSES: "class", Truth.LABELS: "label", Truth.VALUES: "value"}[servable.truth],
        learned_before=learned_before,
        findings=findings,
    )
    kept = _aftercare(decided, fitted, sample, incumbent, among)
    return Learned(
        before=dict(before),
        after=dict(zip(names, fitted.blend.weights.tolist(), strict=True)),
        choice=decided.choice,
        solution=fitted.solution,
        validation=compared,
        test=tested,
        gain=held_out.gain,
        findings=findings,
        verdict=judge(trial, _gate(options.gate, fitted, incumbent, among, compared)),
        figures={"validation": figures(sample, incumbent, fitted.blend, decides), **shown},
        pool=fitted.blend.pool(names).to_json(),
        objective=among.objective,
        newcomers=_newcomers(servable, validation, options, sample),
        truth=servable.truth,
        learned_before=learned_before,
        seconds=clock.all(),
        **kept,
    )


def _fitting(options: LearnOptions, servable: Servable) -> LearnOptions:
    """Return the options with the objective that fits; InvalidRequestError for what doesn't."""
    objective = objective_for(servable.truth, options.choice.objective)
    others = [pool for pool in options.choice.pools if pool != "linear"]
    if others and servable.truth is not Truth.CLASSES:
        raise InvalidRequestError(
            f"pools of form {', '.join(others)} are for scores that add up to 1; of {servable.truth} only the"
            " weighted average can be served: name linear alone"
        )
    return replace(options, choice=replace(options.choice, objective=objective))


@dataclass(slots=True)
class _Clock:
    """Times the parts of a refit."""

    began: float = field(default_factory=perf_counter)
    last: float = field(default_factory=perf_counter)
    seconds: dict[str, float] = field(default_factory=dict)

    def restart(self) -> None:
        """Begin a part here."""
        self.last = perf_counter()

    def stop(self, part: str) -> None:
        """End a part here."""
        self.seconds[part] = perf_counter() - self.last

    def all(self) -> dict[str, float]:
        """Return what the parts took, and what everything did until now."""
        return self.seconds | {"all": perf_counter() - self.began}


def _on_test_rows(
    servable: Servable,
    validation: Predictions,
    options: LearnOptions,
    judged: tuple[Contenders, Aim | None],
) -> tuple[Comparison | None, dict[str, Any], tuple[str, ...]]:
    """Judge the contenders on the test rows, if there are any; with the figures for the report, and notes."""
    if options.test is None:
        return None, {}, ()
    contenders, decides = judged
    unseen = options.columns.weighed(_predict(servable, options.test, options, validation.data_rows))
    tested = compare(unseen, contenders, options.test.digest, decides)
    shown = figures(unseen, contenders.incumbent, contenders.learned, decides)
    return tested, {"test": shown}, leaked(validation, unseen.predictions)


def _newcomers(
    servable: Servable, validation: LabelledData, options: LearnOptions, sample: Sample
) -> dict[str, dict[str, float | None]]:
    """Return what each model outside the ensemble would add to the best average."""
    if not options.newcomers:
        return {}
    outside = as_ensemble(options.newcomers, servable)
    found = predict_all(outside, validation, batch_size=options.batch_size, cache=options.cache)
    start = Blend.of_pool(servable.pool, sample.predictions.members).weights
    return worth_of_each(sample, found, start, options.choice.aim)


def _aftercare(
    decided: Pruned, fitted: Fitted, sample: Sample, incumbent: Blend, options: ChoiceOptions
) -> dict[str, Any]:
    choice, blend, cost = decided.choice, fitted.blend, options.max_cost
    prints = sample.predictions.fingerprints
    return {
        # Of members that were let go there is nothing to draw.
        "intervals": {} if decided.removed else intervals(choice, blend, sample, incumbent, options),
        "without": without_each(choice, blend, within_memory(sample), options),
        "pruning": None if cost is None else decided.to_json(cost, sample.predictions.seconds),
        "rows_seen": () if prints is None else sketch(prints),
    }


def _trial(held_out: HeldOut, fitted: Fitted, incumbent: Blend) -> Trial:
    return Trial(
        solution=fitted.solution,
        gain=held_out.gain,
        class_gains=held_out.classes,
        slice_gains=held_out.slices,
        jump=float(np.abs(fitted.blend.weights - incumbent.weights).sum()),
        other_pool=not fitted.blend.same_pool(incumbent),
    )


def _gate(
    gate: GateOptions, fitted: Fitted, incumbent: Blend, options: ChoiceOptions, compared: Comparison
) -> GateOptions:
    """Let fewer members in where they surely cost no more than was allowed for that.

    What a value may lose is a share of the loss that is served: its units may be anything.
    """
    if compared.loss != LOG_LOSS:
        gate = replace(gate, max_class_loss=gate.max_class_loss * compared.incumbent.loss)
    if options.max_cost is None or len(fitted.blend.voters) >= len(incumbent.voters):
        return gate
    return replace(gate, min_gain=min(gate.min_gain, -options.max_cost))


def _among(options: ChoiceOptions, incumbent: Blend, *, learned_before: bool) -> ChoiceOptions:
    """Return the options with the candidates that there are: the form being served always competes."""
    pools = options.pools
    if options.objective == "log_loss" and not incumbent.plain:
        pools = tuple(dict.fromkeys((*pools, "log" if incumbent.form == LOG else "temperature")))
    # Weights that nobody learned are no prior: shrinking towards them would only keep what was never judged.
    return replace(options, pools=pools, taus=options.taus if learned_before else ())


def _predict(servable: Servable, data: LabelledData, options: LearnOptions, start: int) -> Predictions:
    """Score `data`; progress is counted from `start`."""
    told = options.progress
    progress = None if told is None else lambda done: told(start + done)
    found = predict_all(
        servable,
        data,
        batch_size=options.batch_size,
        cache=options.cache,
        filler=options.distributed,
        progress=progress,
    )
    return replace(found, scratch=options.scratch)
