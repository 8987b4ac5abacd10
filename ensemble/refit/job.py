"""A refit described by addresses alone, so that any process can run it: a command's, or a server's child.

Importing this imports nothing heavy: the library comes in when a job is opened.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..executors.executor import Executor
    from ..member import Member
    from .run import RefitResult

# Called with the rows scored so far; first with those whose scores were there before.
Progress = Callable[[int], None]
# Below whoever answers requests on the same machine.
NICENESS = 10


@dataclass(frozen=True, slots=True)
class RefitJob:
    """Which ensemble of which store to refit, on which files, and what to do with what is learned.

    `data` and `test` are files, folders or patterns, on disk or in buckets; `label` is the column of what
    is true; `min_gain` is in nats a row; `force`, which needs a `why`, publishes whatever the gate says.
    `pools` are the forms that compete, `objective` is the loss that decides, of which `max_cost` may be
    given up for fewer members; `sample_weight`, `group`, `time_order` and `slices` name columns of the
    data. `expect_seq` is the journal's head that the refit is meant for: nothing is done where it is
    another. `executor` scores the rows; None: this process.
    """

    store: str
    name: str
    data: Sequence[str | Path]
    test: Sequence[str | Path] = ()
    label: str = "y"
    min_gain: float = 0.0
    dry_run: bool = False
    force: bool = False
    why: str = ""
    by: str = ""
    batch_size: int = 256
    cache: Path | None = None
    threads: int = 0
    pools: tuple[str, ...] = ("linear",)
    objective: str = ""  # what fits the ensemble's scores
    sample_weight: str | None = None
    group: str | None = None
    time_order: str | None = None
    slices: tuple[str, ...] = ()
    max_cost: float | None = None
    expect_seq: int | None = None
    executor: "Executor | None" = None

    def opened(self, newcomers: "Sequence[Member]" = ()) -> "OpenedRefit":
        """Open store and data; what is wrong with either is raised here.

        `newcomers` are models outside the ensemble, to say what each would add.
        """
        from model_store.store import Store  # noqa: PLC0415 - see above

        from ..data.labelled import open_labelled  # noqa: PLC0415 - see above
        from ..signature import Signature  # noqa: PLC0415 - see above
        from ..truth import truth_of  # noqa: PLC0415 - see above
        from .aims import objective_for  # noqa: PLC0415 - see above
        from .cache import ScoresCache  # noqa: PLC0415 - see above
        from .candidates import ChoiceOptions  # noqa: PLC0415 - see above
        from .gate import GateOptions  # noqa: PLC0415 - see above
        from .learn import LearnOptions  # noqa: PLC0415 - see above
        from .row_columns import RowColumns  # noqa: PLC0415 - see above
        from .run import RefitOptions, refit  # noqa: PLC0415 - see above

        choice = ChoiceOptions(pools=self.pools, objective=self.objective, max_cost=self.max_cost)
        columns = RowColumns(self.sample_weight, self.group, self.time_order, self.slices)
        store = Store.open(self.store)
        manifest = store.manifest(self.name)
        signature, classes = Signature.from_json(manifest.signature), manifest.classes
        truth = truth_of(record.output for record in manifest.members)
        # A wrong one is told of before the data is read.
        objective_for(truth, self.objective)
        opened = partial(open_labelled, signature=signature, label=self.label, truth=truth, classes=classes)
        validation = opened(self.data, keep=columns.names)
        # What rows count, they count there too.
        judging = RowColumns(columns.weight).names
        test = opened(self.test, keep=judging) if self.test else None
        learning = LearnOptions(
            test,
            self.batch_size,
            cache=ScoresCache(self.cache) if self.cache else None,
            choice=choice,
            columns=columns,
            newcomers=newcomers,
            gate=GateOptions(min_gain=self.min_gain),
        )
        options = RefitOptions(
            self.dry_run,
            self.force,
            self.why,
            self.by,
            self.threads,
            self.expect_seq,
            self.executor,
            learning,
        )

        def run(progress: Progress | None) -> "RefitResult":
            told = replace(options, learning=replace(learning, progress=progress))
            return refit(store, self.name, validation, told)

        return OpenedRefit(validation.rows + (test.rows if test else 0), run)


@dataclass(frozen=True, slots=True)
class OpenedRefit:
    """A job whose store and data were found: the rows that will be scored at most, and what runs it."""

    rows: int
    run: "Callable[[Progress | None], RefitResult]"


@dataclass(frozen=True, slots=True)
class RefitWork:
    """A refit as an executor's work of one item; the result is that of `as_json`.

    It makes way for others: the process that does it is a nice one from then on, by `niceness`.
    """

    job: RefitJob
    niceness: int = NICENESS

    def start(self, threads: int) -> Callable[[int, Callable[[int, int], None]], dict[str, Any]]:
        """Return what refits, on `threads` threads a member."""
        if hasattr(os, "nice"):
            os.nice(self.niceness)

        def task(item: int, report: Callable[[int, int], None]) -> dict[str, Any]:
            result = replace(self.job, threads=threads).opened().run(lambda done: report(item, done))
            return as_json(result, dry_run=self.job.dry_run)

        return task


def outcome(result: "RefitResult", *, dry_run: bool) -> str:
    """Return "published", "held" or "dry_run"."""
    if result.version is not None:
        return "published"
    return "dry_run" if dry_run else "held"


def as_json(result: "RefitResult", *, dry_run: bool) -> dict[str, Any]:
    """Return all that a refit found, for programs: its outcome, the weights, and the evidence."""
    return {
        "name": result.ensemble,
        "outcome": outcome(result, dry_run=dry_run),
        "version": result.version,
        "parent": result.parent,
        "forced": result.forced,
        "weights": dict(result.learned.after),
        **result.learned.to_json(),
    }
