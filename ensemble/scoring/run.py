"""Batch scoring: files -> plan -> shards -> the servable's scores -> parts, each row just once.

Resuming is the default: what the ledger says is done is left alone.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from model_store.store import Store

from ..data.dataset import Dataset
from ..errors import InvalidDataError, TooManyErrorRowsError
from ..executors.executor import Executor, Work
from ..executors.inline import InlineExecutor
from ..runtimes.choice import REFERENCE
from ..runtimes.devices import Kind
from ..runtimes.opening import AUTO
from ..servable import Servable
from .choosing import Settled, settle
from .columns import Columns
from .ledger import ERRORS_FOLDER, PLAN_FILE, Done, Ledger, read_json
from .overwriting import place_for, put_in_place
from .places import Place, place_at
from .plan import Plan
from .shard import LoadedWork, StoredWork
from .target import Target

# The rows done so far, those that failed included; and of those, how many are known to have failed. Called
# before anything is done, too, with what earlier runs did.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ErrorLimit:
    """How many rows may fail: a number, or a share of all."""

    rows: int = 0
    share: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "ErrorLimit":
        """Read `12` or `0.5%`; InvalidDataError."""
        try:
            limit = cls(share=float(text[:-1]) / 100) if text.endswith("%") else cls(rows=int(text))
        except ValueError:
            limit = cls(rows=-1)
        if limit.rows < 0 or not 0 <= limit.share <= 1:
            raise InvalidDataError(f"error rows allowed must be a number or a percentage; got {text!r}")
        return limit

    def of(self, rows: int) -> int:
        """How many of `rows` rows may fail."""
        return max(self.rows, int(self.share * rows))


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """How a job runs and what it writes. `part_rows` None: what suits.

    `batch_size` is how many rows a batch has at most; None: as many as are found to be quickest. It
    changes no byte.
    """

    batch_size: int | None = None
    part_rows: int | None = None
    columns: Columns = field(default_factory=Columns)
    errors_allowed: ErrorLimit = field(default_factory=ErrorLimit)
    overwrite: bool = False  # results of another job make way for these, once these are whole

    def __post_init__(self) -> None:
        """Refuse sizes that hold no row."""
        for what, rows in (("the batch size", self.batch_size), ("the rows in a part", self.part_rows)):
            if rows is not None and rows < 1:
                raise InvalidDataError(f"{what} must be >= 1; got {rows}")


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """What a job wrote: `rows` were scored, `failed` could not be; `done_before` were by earlier runs.

    `parts` are paths where the output is on disk.
    """

    rows: int
    failed: int
    parts: tuple[Path, ...]
    seconds: float
    done_before: int = 0
    already_done: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """A published version to score with, wherever the work is done: the store's address and who does it.

    `runtime` is what runs the members; "auto": for each the one that is measured to be fastest. `device` is
    what they compute on: a worker without it fails.
    """

    store: str
    target: Target
    executor: Executor = field(default_factory=InlineExecutor)
    runtime: str = REFERENCE
    device: Kind = "cpu"


def score(
    scorer: Servable | Stored,
    dataset: Dataset,
    output: Path | str,
    options: ScoreOptions | None = None,
    *,
    on_progress: Progress | None = None,
) -> ScoreResult:
    """Score every row of `dataset` into `output/part-*.parquet`, wherever that is; then `_SUCCESS.json`.

    The scores are bit for bit those of `Servable.score`. Rows that can't be scored are listed in
    `output/_errors`. A job that was cut off goes on; one that is done is left alone. `InvalidDataError` for
    a folder with other results, unless they may be overwritten; `TooManyErrorRowsError` at the end if more
    rows failed than allowed; `StoreUnavailableError` if the folder can't be written; `MemberError` if a
    member fails whatever the row.
    """
    options = options or ScoreOptions()
    began = monotonic()
    target = scorer.target if isinstance(scorer, Stored) else Target.of_servable(scorer)
    output_place = place_at(output)
    plan = _plan(scorer, target, dataset, output_place, options)
    place = place_for(output_place, plan) if options.overwrite else output_place
    ledger = Ledger(place, plan)
    ledger.claim()
    done = ledger.done()
    before, finished = sum(one.part.rows + one.failed for one in done.values()), ledger.finished()
    waiting = [shard.index for shard in plan.shards if shard.index not in done]
    if waiting:
        work, executor = _work(scorer, dataset, ledger, options.batch_size)
        counted = _Counted(before, on_progress, sum(one.failed for one in done.values()))
        counted.tell()
        for result in executor.run(work, waiting, counted.report):
            one = Done.from_json(result)
            done[one.shard] = one
            counted.failed += one.failed
            counted.report(one.shard, one.part.rows + one.failed)
    in_order = [done[shard.index] for shard in plan.shards]
    failed = sum(one.failed for one in in_order)
    if not finished:
        _check_failed(failed, plan, options.errors_allowed, place.where(ERRORS_FOLDER))
        ledger.finish(in_order)
    put_in_place(place, output_place)
    parts = tuple(Path(output_place.where(one.part.file)) for one in in_order)
    return ScoreResult(plan.rows - failed, failed, parts, monotonic() - began, before, finished)


def _plan(
    scorer: Servable | Stored, target: Target, dataset: Dataset, place: Place, options: ScoreOptions
) -> Plan:
    """Plan the job; if the one in `place` differs at most by what was once measured, it is that one."""

    def of(settled: Settled) -> Plan:
        return Plan.of(target, dataset, options.columns, options.part_rows, settled, device)

    device = scorer.device if isinstance(scorer, Stored) else "cpu"

    if isinstance(scorer, Servable) or scorer.runtime == REFERENCE:
        return of({})
    with suppress(KeyError, TypeError, ValueError):
        there = read_json(place, PLAN_FILE)
        if scorer.runtime == AUTO and there and of(Plan.from_json(there).settled).to_json() == there:
            return Plan.from_json(there)
    store = Store.open(scorer.store)
    return of(settle(store, store.manifest(target.ensemble, target.version), scorer.runtime, device))


def _work(
    scorer: Servable | Stored, dataset: Dataset, ledger: Ledger, batch_size: int | None
) -> tuple[Work, Executor]:
    """Return what is to be done on shards, and who does it."""
    if isinstance(scorer, Stored):
        work = StoredWork(scorer.store, ledger.place.where(), ledger.plan.fingerprint, batch_size)
        return work, scorer.executor
    return LoadedWork(scorer, dataset, ledger, batch_size), InlineExecutor()


@dataclass(slots=True)
class _Counted:
    """Adds up what the shards report, whichever worker does them and however often."""

    before: int
    on_progress: Progress | None
    failed: int = 0
    by_shard: dict[int, int] = field(default_factory=dict)
    told: tuple[int, int] | None = None

    def report(self, shard: int, rows: int) -> None:
        """Pass on the rows done so far in all shards, and how many failed in those that are done."""
        self.by_shard[shard] = rows
        self.tell()

    def tell(self) -> None:
        """Pass on what is known, if that is new."""
        news = self.before + sum(self.by_shard.values()), self.failed
        if news != self.told and self.on_progress is not None:
            self.told = news
            self.on_progress(*news)


def _check_failed(failed: int, plan: Plan, limit: ErrorLimit, errors: str) -> None:
    """Raise if more rows failed than may; the scores of the others stay, and count if more are allowed."""
    if failed > limit.of(plan.rows):
        raise TooManyErrorRowsError(
            f"{failed:,} of {plan.rows:,} rows can't be scored, and {limit.of(plan.rows):,} are allowed;"
            f" {errors} lists them. The others are scored: allow more error rows to finish,"
            " nothing is scored again"
        )
