"""A refit's two long parts, done by an executor's workers: members' scores, and passes over them.

Workers find everything by address: the store, the data, the cache and the scratch folder have the same paths
for all of them. What they are sent is small, and never a model.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from model_store.store import Store

from ..data.chunk import Chunk
from ..data.dataset import reopen_dataset
from ..data.labelled import LabelledFiles
from ..data.locations import Locations, Seen
from ..errors import InvalidDataError
from ..executors.executor import Executor, Report, Result, Task
from ..loading.load import load_servable
from .cache import ScoresCache, Shard
from .predictions import class_names
from .remote_passes import RemotePasses
from .sample import Sample
from .sheets import CHANGED, FillsHere, Progress, Timed


@dataclass(frozen=True, slots=True)
class Filling:
    """The scores of some shards of some files, by one version's members, into a cache."""

    store: str
    ensemble: str
    version: int
    files: tuple[tuple[Seen, int], ...]  # with their rows
    shards: tuple[Shard, ...]
    cache: Path
    batch_size: int

    def start(self, threads: int) -> Task:
        """Load the version, and return what scores one shard; in order, no row is read twice."""
        servable = load_servable(Store.open(self.store), self.ensemble, self.version, threads=threads)
        places = Locations()
        files = [(places.known(seen.address, seen.size, seen.etag), rows) for seen, rows in self.files]
        dataset = reopen_dataset(files, servable.signature, {})
        cursor = dataset.cursor(self.batch_size)
        members = FillsHere(servable.members, len(class_names(servable)), servable.truth)

        def task(item: int, report: Report) -> Result:
            shard, timed = self.shards[item], Timed(truth=servable.truth)

            def chunks() -> Iterator[Chunk]:
                for found, bad in dataset.sifted(cursor, shard.start, shard.stop):
                    if bad:
                        # They were all good when they were first read.
                        raise InvalidDataError(f"{CHANGED}: {bad[0].message}")
                    yield from found
                    report(item, found[-1].start + len(found[-1].row_numbers) - shard.start)

            members.score(ScoresCache(self.cache), shard, chunks(), timed)
            return {"shard": item, "seconds": timed.seconds, "scored": timed.scored}

        return task


@dataclass(frozen=True, slots=True)
class Distributed:
    """A version's address, and who works."""

    executor: Executor
    store: str
    ensemble: str
    version: int

    def fill(
        self,
        cache: ScoresCache,
        data: LabelledFiles,
        shards: Sequence[Shard],
        batch_size: int,
        progress: Progress,
    ) -> Timed:
        """Score what of these shards isn't in the cache; `progress` is told the rows that are done."""
        files = tuple(zip(map(Seen.of, data.files), data.counts, strict=True))
        folder = cache.folder.resolve()
        work = Filling(self.store, self.ensemble, self.version, files, tuple(shards), folder, batch_size)
        timed, done = Timed(), Counter[int]()

        def report(shard: int, rows: int) -> None:
            done[shard] = rows
            progress(done.total())

        for result in self.executor.run(work, range(len(shards)), report):
            shard = shards[result["shard"]]
            timed.add(result["seconds"], result["scored"])
            report(result["shard"], shard.stop - shard.start)
        return timed

    def passing(self, sample: Sample) -> Sample:
        """Return the sample with workers to go over its matrix, if that is in a file."""
        matrix = sample.true_class
        if not isinstance(matrix, np.memmap) or matrix.filename is None:
            return sample
        return replace(sample, passes=RemotePasses(self.executor, Path(matrix.filename)))
