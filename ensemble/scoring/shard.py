"""Shards: their rows -> the servable's scores -> a part each, and the list of the rows that failed.

Three stages run side by side: a thread reads, another asks the members, the caller's own writes. Each is a
few blocks ahead of the next at most, and goes on into the next shard while the last one is written.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain
from time import monotonic
from typing import Any

from model_store.store import Store

from ..data.chunk import Chunk
from ..data.dataset import Dataset
from ..data.sifting import BadRow
from ..data.table import rebatched
from ..errors import InvalidDataError
from ..executors.executor import Report, Result, Task
from ..loading.load import Runtimes, load_servable
from ..servable import Servable
from .ahead import ahead
from .asking import Asker
from .choosing import runtimes
from .columns import results_batch
from .ledger import ERRORS_FOLDER, PLAN_FILE, Done, Ledger, part_file, read_json
from .pace import Pace, rows_at_once
from .parts import errors_batch, write_parquet
from .places import place_at
from .plan import GROUP_ROWS, Plan, Shard
from .target import Target

# How far reading may be ahead of the members, and they of the writing, in blocks.
BLOCKS_AHEAD = 2
SCORED_AHEAD = 4


@dataclass(frozen=True, slots=True)
class LoadedWork:
    """Shards scored by a servable that is loaded already: for one process only."""

    servable: Servable
    dataset: Dataset
    ledger: Ledger
    batch_size: int | None

    def start(self, threads: int) -> Task:  # noqa: ARG002 - whoever loaded it has decided
        """Return what scores one shard."""
        return ShardScorer(self.servable, self.dataset, self.ledger, self.batch_size)


@dataclass(frozen=True, slots=True)
class StoredWork:
    """Shards scored by a published version: the store's address and the output folder say it all."""

    store: str
    folder: str
    fingerprint: str  # of the plan in that folder
    batch_size: int | None

    def start(self, threads: int) -> Task:
        """Load the version that the plan names, each byte checked, and return what scores one shard."""
        place = place_at(self.folder)
        plan = Plan.from_json(read_json(place, PLAN_FILE) or {})
        store, target = Store.open(self.store), plan.target
        manifest = store.manifest(target.ensemble, target.version)
        if plan.fingerprint != self.fingerprint or Target.of_manifest(store, manifest) != target:
            raise InvalidDataError(
                f"{self.folder}: the plan in it isn't that of this job: name an empty folder"
            )
        # A job of one part would be over before what is measured could pay; the bits are the same.
        plainly = plan.rows <= plan.part_rows and not plan.settled and plan.device == "cpu"
        how = Runtimes() if plainly else runtimes(plan.settled, threads, plan.device)
        servable = load_servable(store, target.ensemble, target.version, threads=threads, runtimes=how)
        return ShardScorer(servable, plan.open_dataset(), Ledger(place, plan), self.batch_size)


@dataclass(frozen=True, slots=True)
class _Read:
    """A block of a shard: the rows that have what the members take, and those that don't."""

    shard: Shard
    chunks: list[Chunk]
    unfit: list[BadRow]


@dataclass(frozen=True, slots=True)
class _Scored:
    """A block of a shard: its results, and its rows that have none, in order."""

    shard: Shard
    batches: list[Any]
    failed: list[BadRow]

    @property
    def rows(self) -> int:
        """How many rows it had."""
        return sum(int(batch.num_rows) for batch in self.batches) + len(self.failed)


class ShardScorer:
    """Scores the shards it is asked for; in order, no row is read twice."""

    def __init__(
        self, servable: Servable, dataset: Dataset, ledger: Ledger, batch_size: int | None = None
    ) -> None:
        rows = rows_at_once(servable.signature, dataset.row_bytes())
        pace = Pace(min(batch_size or rows, rows), fixed=batch_size is not None)
        self._dataset = dataset
        self._ledger = ledger
        self._asker = Asker(servable, pace, ledger.plan.columns.asked)
        self._cursor = dataset.cursor(pace.most)

    def __call__(self, item: int, report: Report) -> Result:
        """Score shard number `item`, and say in the ledger that it is done."""
        (result,) = self.stream([item], report)
        return result

    def stream(self, items: Iterable[int], report: Report) -> Iterator[Result]:
        """Score the shards `items`; give what each came to once the ledger says that it is done."""
        scored = ahead(self._scored(ahead(self._read(items), BLOCKS_AHEAD)), SCORED_AHEAD)
        with closing(scored):
            began = monotonic()
            for first in scored:
                done = self._write(first.shard, chain([first], scored), report, began)
                began = monotonic()
                yield done.to_json()

    def _read(self, items: Iterable[int]) -> Generator[_Read]:
        """Give the shards' rows, block by block."""
        for item in items:
            shard = self._ledger.plan.shards[item]
            for chunks, unfit in self._dataset.sifted(self._cursor, shard.start, shard.stop):
                yield _Read(shard, chunks, unfit)

    def _scored(self, blocks: Generator[_Read]) -> Generator[_Scored]:
        """Ask the members about each block."""
        schema, classes = self._ledger.plan.schema, self._ledger.plan.target.classes
        with closing(blocks):
            for block in blocks:
                failed, batches = list(block.unfit), []
                for chunk in block.chunks:
                    answers, refused = self._asker.ask(chunk)
                    failed += refused
                    batches += [results_batch(piece, answer, classes, schema) for piece, answer in answers]
                yield _Scored(block.shard, batches, sorted(failed, key=lambda row: row.row))

    def _write(self, shard: Shard, blocks: Iterable[_Scored], report: Report, began: float) -> Done:
        """Write the part of a shard, and its list of errors if there are any; say that it is done."""
        plan, bad, temps = self._ledger.plan, list[BadRow](), {}
        part, errors = self._ledger.temp(shard), self._ledger.temp(shard, ERRORS_FOLDER)
        try:
            batches = rebatched(_told(blocks, bad, report), GROUP_ROWS)
            temps[part] = write_parquet(part, part_file(shard), plan.schema, batches)
            if bad:
                name = f"{ERRORS_FOLDER}/{part_file(shard)}"
                batch = errors_batch(bad, plan.errors_schema, plan.identity)
                temps[errors] = write_parquet(errors, name, plan.errors_schema, [batch])
            for file in plan.files:
                file.check()
            done = Done(shard.index, temps[part], temps.get(errors), round(monotonic() - began, 3))
            self._ledger.commit(done, temps)
        finally:
            for temp in (part, errors):
                with suppress(OSError):
                    temp.unlink()
        return done


def _told(blocks: Iterable[_Scored], bad: list[BadRow], report: Report) -> Iterator[Any]:
    """Give the results of one shard's blocks and no more; put the rows that failed into `bad`."""
    done = 0
    for block in blocks:
        yield from block.batches
        bad += block.failed
        done += block.rows
        report(block.shard.index, done)
        if done == block.shard.stop - block.shard.start:
            return
