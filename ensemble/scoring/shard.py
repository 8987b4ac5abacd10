"""One shard: its rows -> the servable's scores -> its part, and the list of the rows that failed."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from model_store.store import Store

from ..data.cursor import Cursor
from ..data.dataset import Dataset
from ..data.sifting import BadRow
from ..data.table import rebatched
from ..errors import InvalidDataError
from ..executors.executor import Report, Result, Task
from ..loading.load import load_servable
from ..servable import Servable
from .asking import Asker
from .columns import results_batch
from .ledger import ERRORS_FOLDER, JOB_FOLDER, Done, Ledger, read_json
from .parts import errors_batch, write_parquet
from .plan import GROUP_ROWS, Plan, Shard
from .target import Target


@dataclass(frozen=True, slots=True)
class LoadedWork:
    """Shards scored by a servable that is loaded already: for one process only."""

    servable: Servable
    dataset: Dataset
    ledger: Ledger
    batch_size: int

    def start(self, threads: int) -> Task:  # noqa: ARG002 - whoever loaded it has decided
        """Return what scores one shard."""
        return ShardScorer(self.servable, self.dataset, self.ledger, self.batch_size)


@dataclass(frozen=True, slots=True)
class StoredWork:
    """Shards scored by a published version: the store's address and the output folder say it all."""

    store: str
    folder: str
    fingerprint: str  # of the plan in that folder
    batch_size: int

    def start(self, threads: int) -> Task:
        """Load the version that the plan names, each byte checked, and return what scores one shard."""
        plan = Plan.from_json(read_json(Path(self.folder) / JOB_FOLDER / "plan.json") or {})
        store, target = Store.open(self.store), plan.target
        manifest = store.manifest(target.ensemble, target.version)
        if plan.fingerprint != self.fingerprint or Target.of_manifest(store, manifest) != target:
            raise InvalidDataError(
                f"{self.folder}: the plan in it isn't that of this job: name an empty folder"
            )
        servable = load_servable(store, target.ensemble, target.version, threads=threads)
        return ShardScorer(servable, plan.open_dataset(), Ledger(Path(self.folder), plan), self.batch_size)


@dataclass(slots=True)
class ShardScorer:
    """Scores the shards it is asked for; in order, no row is read twice."""

    servable: Servable
    dataset: Dataset
    ledger: Ledger
    batch_size: int
    _asker: Asker = field(init=False)
    _cursor: Cursor = field(init=False)

    def __post_init__(self) -> None:
        """Stand at the first row."""
        self._asker = Asker(self.servable, self.ledger.plan.columns.asked)
        self._cursor = self.dataset.cursor(self.batch_size)

    def __call__(self, item: int, report: Report) -> Result:
        """Score shard number `item`, and say in the ledger that it is done."""
        began = monotonic()
        shard = self.ledger.plan.shards[item]
        bad: list[BadRow] = []
        temps = {}
        part = self.ledger.temp(shard)
        errors = self.ledger.temp(shard, ERRORS_FOLDER)
        try:
            batches = rebatched(self._scored(shard, bad, report), GROUP_ROWS)
            schema = self.ledger.plan.schema
            temps[part] = write_parquet(part, f"{shard.name}.parquet", schema, batches)
            if bad:
                name = f"{ERRORS_FOLDER}/{shard.name}.parquet"
                errors_schema = self.ledger.plan.errors_schema
                batch = errors_batch(bad, errors_schema, self.ledger.plan.identity)
                temps[errors] = write_parquet(errors, name, errors_schema, [batch])
            for file in self.ledger.plan.files:
                file.check()
            done = Done(item, temps[part], temps.get(errors), round(monotonic() - began, 3))
            self.ledger.commit(done, temps)
        finally:
            for temp in (part, errors):
                with suppress(OSError):
                    temp.unlink()
        return done.to_json()

    def _scored(self, shard: Shard, bad: list[BadRow], report: Report) -> Iterator[Any]:
        """Give the results of the rows of a shard, in order; put those that fail into `bad`."""
        schema, classes, done = self.ledger.plan.schema, self.ledger.plan.target.classes, 0
        for chunks, unfit in self.dataset.sifted(self._cursor, shard.start, shard.stop):
            failed = list(unfit)
            for chunk in chunks:
                answers, refused = self._asker.ask(chunk)
                failed += refused
                done += len(refused)
                for piece, answer in answers:
                    yield results_batch(piece, answer, classes, schema)
                    done += len(answer.pooled)
            done += len(unfit)
            bad += sorted(failed, key=lambda row: row.row)
            report(shard.index, done)
