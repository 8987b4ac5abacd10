"""What of a job is done, on disk or in a bucket, so that it outlives whoever does it.

FOLDER/_job/plan.json      what the job is; created once
FOLDER/part-00000.parquet  the results of one shard; created once, whole
FOLDER/_errors/...         the rows of that shard that could not be scored; only if there are any
FOLDER/_job/done/0.json    that the shard is done: counts, digests, seconds; created after its files
FOLDER/_SUCCESS.json       that all are; the same bytes whoever did them

Every file is created under its final name once, complete. Whoever comes second with the same shard finds
the same bytes there and goes on, so no row is lost or doubled and nobody needs to coordinate.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import InvalidDataError
from .places import Place
from .plan import Plan, Shard

JOB_FOLDER = "_job"
ERRORS_FOLDER = "_errors"
SUCCESS_FILE = "_SUCCESS.json"
PLAN_FILE = f"{JOB_FOLDER}/plan.json"


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file that was written: its name below the output folder, its size in bytes, its digest."""

    file: str
    rows: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Done:
    """One shard, done: its part, the list of the rows that failed if there are any, how long it took."""

    shard: int
    part: FileRecord
    errors: FileRecord | None
    seconds: float

    @property
    def failed(self) -> int:
        """How many rows could not be scored."""
        return self.errors.rows if self.errors else 0

    def to_json(self) -> dict[str, Any]:
        """Return the form that markers hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Done":
        """Read what `to_json` wrote; KeyError or TypeError if it isn't that."""
        errors = data["errors"] and FileRecord(**data["errors"])
        return cls(data["shard"], FileRecord(**data["part"]), errors, data["seconds"])


@dataclass(frozen=True, slots=True)
class Ledger:
    """The place of one plan's output."""

    place: Place
    plan: Plan

    def claim(self) -> None:
        """Make the place this job's; InvalidDataError if it holds anything that isn't of this very plan."""
        self.place.check()
        if self.place.read(PLAN_FILE) is None:
            self._refuse_strangers()
            self._create(PLAN_FILE, self.plan.to_json())
        self._refuse_others()
        self.place.sweep()

    def look(self) -> None:
        """Raise `InvalidDataError`, and write nothing, if the place can't be this job's as it is."""
        if self.place.read(PLAN_FILE) is None:
            self._refuse_strangers()
        else:
            self._refuse_others()
            self.done()

    def _refuse_others(self) -> None:
        """Raise unless the plan that is there is this one."""
        theirs, ours = read_json(self.place, PLAN_FILE), self.plan.to_json()
        if theirs != ours:
            differ = ", ".join(sorted(key for key in ours if (theirs or {}).get(key) != ours[key]))
            raise InvalidDataError(
                f"{self.place.where()}: holds the results of another job ({differ} differ): name an empty"
                " folder, or overwrite them (--overwrite)"
            )

    def done(self) -> dict[int, Done]:
        """Return the shards that are done, by number; InvalidDataError if a file isn't as it was."""
        sizes, found = self.place.sizes(), {}
        for shard in self.plan.shards:
            marker = _marker(shard.index)
            data = read_json(self.place, marker) if marker in sizes else None
            one = None if data is None else self._checked(shard, data, sizes)
            if one is not None:
                found[shard.index] = one
        return found

    def finished(self) -> bool:
        """Whether the job is done and has said so."""
        return self.place.read(SUCCESS_FILE) is not None

    def commit(self, done: Done, temps: Mapping[Path, FileRecord]) -> None:
        """Give a shard's files their names, then say that it is done.

        InvalidDataError if another run made something else of the same shard.
        """
        for temp, record in temps.items():
            self.place.put(temp, record.file, record.sha256)
        self._create(_marker(done.shard), done.to_json())

    def finish(self, all_done: Sequence[Done]) -> None:
        """Say that the job is done; its rows must add up to those of the plan."""
        rows = sum(done.part.rows + done.failed for done in all_done)
        if rows != self.plan.rows:
            raise InvalidDataError(
                f"{self.place.where()}: {rows} rows are accounted for, {self.plan.rows} were planned"
            )
        target = self.plan.target
        told = {
            "fingerprint": self.plan.fingerprint,
            "ensemble": target.ensemble,
            "version": target.version,
            "weights_sha256": target.weights_sha256,
            "rows": rows,
            "scored": sum(done.part.rows for done in all_done),
            "failed": sum(done.failed for done in all_done),
            "parts": [asdict(done.part) for done in all_done],
            "errors": [asdict(done.errors) for done in all_done if done.errors],
        }
        self.place.sweep()
        self._create(SUCCESS_FILE, told)

    def temp(self, shard: Shard, folder: str = "") -> Path:
        """Return a file that nobody else writes to, for a part or for the list of its errors."""
        return self.place.temp(f"{folder}/{part_file(shard)}".lstrip("/"))

    def _refuse_strangers(self) -> None:
        """Raise unless the place is new, empty, or as a run leaves it that died while it wrote the plan."""
        there = self.place.names()
        markers = f"{JOB_FOLDER}/done/"
        if there not in ([], [JOB_FOLDER]) or any(name.startswith(markers) for name in self.place.sizes()):
            raise InvalidDataError(
                f"{self.place.where()}: isn't empty and holds no scoring job: name an empty folder"
            )

    def _checked(self, shard: Shard, data: Mapping[str, Any], sizes: Mapping[str, int]) -> Done | None:
        """Return what a marker says, if the files are there as it says; None if they are to be made again."""
        marker = _marker(shard.index)
        where = self.place.where(marker)
        try:
            done = Done.from_json(data)
            whole = done.part.rows + done.failed == shard.stop - shard.start
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidDataError(f"{where}: isn't what a job writes: remove it to score again") from error
        if not whole:
            raise InvalidDataError(f"{where}: its rows don't add up: remove it to score again")
        for record in filter(None, (done.part, done.errors)):
            if sizes.get(record.file) == record.size:
                continue
            if record.file in sizes or self.finished():
                raise InvalidDataError(
                    f"{self.place.where(record.file)}: is gone or has changed since it was written: remove it"
                    f" and {SUCCESS_FILE} to score its rows again"
                )
            self.place.remove(marker)
            return None
        return done

    def _create(self, name: str, data: Mapping[str, Any]) -> None:
        """Write a small file whole, or leave the one that is there alone."""
        text = json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        self.place.create(name, text.encode())


def part_file(shard: Shard) -> str:
    """What the part of a shard is called."""
    return f"{shard.name}.parquet"


def read_json(place: Place, name: str) -> dict[str, Any] | None:
    """Return the object in a JSON file, None if there is no such file; InvalidDataError if it isn't one."""
    text = place.read(name)
    if text is None:
        return None
    try:
        data = json.loads(text)
    except ValueError as error:
        raise InvalidDataError(f"{place.where(name)}: isn't JSON ({error}): name an empty folder") from None
    if not isinstance(data, dict):
        raise InvalidDataError(f"{place.where(name)}: holds no JSON object: name an empty folder")
    return data


def _marker(index: int) -> str:
    return f"{JOB_FOLDER}/done/{index}.json"
