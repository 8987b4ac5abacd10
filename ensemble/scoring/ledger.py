"""What of a job is done, on disk, so that it outlives whoever does it.

FOLDER/_job/plan.json      what the job is; created once
FOLDER/part-00000.parquet  the results of one shard; created once, whole
FOLDER/_errors/...         the rows of that shard that could not be scored; only if there are any
FOLDER/_job/done/0.json    that the shard is done: counts, digests, seconds; created after its files
FOLDER/_SUCCESS.json       that all are; the same bytes whoever did them

Every file is created under its final name once, complete. Whoever comes second with the same shard finds
the same bytes there and goes on, so no row is lost or doubled and nobody needs to coordinate.
"""

import hashlib
import json
import os
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model_store.durable import Disk, Writer, explained

from ..errors import InvalidDataError
from .plan import Plan, Shard

JOB_FOLDER = "_job"
ERRORS_FOLDER = "_errors"
SUCCESS_FILE = "_SUCCESS.json"
PARTIAL = ".part-*.partial"


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
    """The output folder of one plan."""

    folder: Path
    plan: Plan

    def claim(self) -> None:
        """Make the folder this job's; InvalidDataError if it holds anything that isn't of this very plan."""
        if self.folder.exists() and not self.folder.is_dir():
            raise InvalidDataError(f"{self.folder}: is a file; name a folder for the scores")
        path = self.folder / JOB_FOLDER / "plan.json"
        if not path.is_file():
            self._refuse_strangers()
            self._create(path, self.plan.to_json())
        self._refuse_others()
        self._sweep()

    def look(self) -> None:
        """Raise `InvalidDataError`, and write nothing, if the folder can't be this job's as it is."""
        if (self.folder / JOB_FOLDER / "plan.json").is_file():
            self._refuse_others()
            self.done()
        else:
            self._refuse_strangers()

    def _refuse_others(self) -> None:
        """Raise unless the plan in the folder is this one."""
        theirs, ours = read_json(self.folder / JOB_FOLDER / "plan.json"), self.plan.to_json()
        if theirs != ours:
            differ = ", ".join(sorted(key for key in ours if (theirs or {}).get(key) != ours[key]))
            raise InvalidDataError(
                f"{self.folder}: holds the results of another job ({differ} differ): name an empty folder,"
                " or overwrite them (--overwrite)"
            )

    def done(self) -> dict[int, Done]:
        """Return the shards that are done, by number; InvalidDataError if a file isn't as it was."""
        found = {}
        for shard in self.plan.shards:
            data = read_json(self._marker(shard.index))
            one = None if data is None else self._checked(shard, data)
            if one is not None:
                found[shard.index] = one
        return found

    def finished(self) -> bool:
        """Whether the job is done and has said so."""
        return (self.folder / SUCCESS_FILE).is_file()

    def commit(self, done: Done, temps: Mapping[Path, FileRecord]) -> None:
        """Give a shard's files their names, then say that it is done.

        InvalidDataError if another run made something else of the same shard.
        """
        for temp, record in temps.items():
            self._create_whole(temp, record)
        self._create(self._marker(done.shard), done.to_json())

    def finish(self, all_done: Sequence[Done]) -> None:
        """Say that the job is done; its rows must add up to those of the plan."""
        rows = sum(done.part.rows + done.failed for done in all_done)
        if rows != self.plan.rows:
            raise InvalidDataError(
                f"{self.folder}: {rows} rows are accounted for, {self.plan.rows} were planned"
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
        self._sweep()
        self._create(self.folder / SUCCESS_FILE, told)

    def temp(self, shard: Shard, folder: str = "") -> Path:
        """Return a name that nobody else writes to; it says who does, so that a leftover can be cleared."""
        owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        return self.folder / folder / f".{shard.name}.{owner}.partial"

    def _marker(self, index: int) -> Path:
        return self.folder / JOB_FOLDER / "done" / f"{index}.json"

    def _refuse_strangers(self) -> None:
        """Raise unless the folder is new, empty, or as a run leaves it that died while it wrote the plan."""
        there = sorted(path.name for path in self.folder.iterdir()) if self.folder.is_dir() else []
        if there not in ([], [JOB_FOLDER]) or (self.folder / JOB_FOLDER / "done").exists():
            raise InvalidDataError(
                f"{self.folder}: isn't empty and holds no scoring job: name an empty folder"
            )

    def _checked(self, shard: Shard, data: Mapping[str, Any]) -> Done | None:
        """Return what a marker says, if the files are there as it says; None if they are to be made again."""
        marker = self._marker(shard.index)
        try:
            done = Done.from_json(data)
            whole = done.part.rows + done.failed == shard.stop - shard.start
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidDataError(f"{marker}: isn't what a job writes: remove it to score again") from error
        if not whole:
            raise InvalidDataError(f"{marker}: its rows don't add up: remove it to score again")
        for record in filter(None, (done.part, done.errors)):
            path = self.folder / record.file
            if path.is_file() and path.stat().st_size == record.size:
                continue
            if path.exists() or self.finished():
                raise InvalidDataError(
                    f"{path}: is gone or has changed since it was written: remove it and {SUCCESS_FILE}"
                    " to score its rows again"
                )
            with explained("clean up the output folder", marker):
                marker.unlink(missing_ok=True)
            return None
        return done

    def _create_whole(self, temp: Path, record: FileRecord) -> None:
        """Give a file that is on disk its final name, or see that what has the name is the same."""
        final = self.folder / record.file
        with explained("write scores to", final):
            try:
                os.link(temp, final)
            except (FileExistsError, FileNotFoundError):
                # Not found: another run was done, and cleared away what was left.
                with final.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                if digest != record.sha256:
                    raise InvalidDataError(
                        f"{final}: isn't what its rows score to now: remove it to score them again"
                    ) from None
            finally:
                temp.unlink(missing_ok=True)
            Disk().sync_folder(final.parent)

    def _create(self, path: Path, data: Mapping[str, Any]) -> None:
        """Write a small file whole, or leave the one that is there alone."""
        text = json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        Writer(self.folder, Disk()).create(path, text.encode(), path.name)

    def _sweep(self) -> None:
        """Remove what runs on this machine that are dead left half-written."""
        with explained("clean up the output folder", self.folder):
            for path in self._partials():
                owner = path.name.removesuffix(".partial").split(".", 2)[-1]
                host, _, process = owner.rpartition("-")[0].rpartition("-")
                if host == socket.gethostname() and process.isdigit() and not _alive(int(process)):
                    path.unlink(missing_ok=True)

    def _partials(self) -> Iterator[Path]:
        for folder in (self.folder, self.folder / ERRORS_FOLDER):
            yield from folder.glob(PARTIAL)


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file, None if there is no such file; InvalidDataError if it isn't one."""
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InvalidDataError(f"{path}: isn't JSON ({error}): name an empty folder") from None
    if not isinstance(data, dict):
        raise InvalidDataError(f"{path}: holds no JSON object: name an empty folder")
    return data


def _alive(process: int) -> bool:
    """Whether a process of that number runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
