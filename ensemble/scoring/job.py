"""What a scoring job is, and which output folder it may write to.

A job is its data, its version, its weights and its layout: two runs of one job write the same bytes.
`_job.json` says whose the folder is from the start; `_SUCCESS.json`, written last, that it is whole.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from model_store.durable import Disk, Writer, explained
from model_store.manifest import weights_json

from ..data.dataset import Dataset
from ..errors import InvalidDataError
from ..servable import Servable
from .parts import Part

JOB_FILE = "_job.json"
SUCCESS_FILE = "_SUCCESS.json"
PARTIAL = ".part-*.partial"  # what a killed run leaves
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Job:
    """What decides every byte of the output. The batch size is not in it: scores don't depend on it."""

    ensemble: str
    version: int
    classes: tuple[str, ...]
    weights_sha256: str  # that of the version's weights in the store
    data_sha256: str
    files: tuple[str, ...]
    keep: tuple[str, ...]
    part_rows: int

    @classmethod
    def of(cls, servable: Servable, dataset: Dataset, part_rows: int) -> "Job":
        """Name the job of scoring `dataset` with `servable`; reads all data once, for its digest."""
        digests = {member.name: member.digest for member in servable.members}
        return cls(
            servable.name,
            servable.version,
            servable.classes,
            sha256(weights_json(servable.weights.by_member, digests)).hexdigest(),
            dataset.digest,
            tuple(str(path) for path in dataset.files),
            dataset.keep,
            part_rows,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the form that `_job.json` holds."""
        return {
            "schema_version": SCHEMA_VERSION,
            "ensemble": self.ensemble,
            "version": self.version,
            "classes": list(self.classes),
            "weights_sha256": self.weights_sha256,
            "data_sha256": self.data_sha256,
            "files": list(self.files),
            "keep": list(self.keep),
            "part_rows": self.part_rows,
        }


@dataclass(frozen=True, slots=True)
class Done:
    """What a finished job left."""

    rows: int
    parts: tuple[Path, ...]


def claim_folder(folder: Path, job: Job) -> Done | None:
    """Make `folder` this job's; return what `_SUCCESS.json` says if the job is already done.

    Raises `InvalidDataError` if the folder holds anything that isn't of this very job.
    """
    ours = job.to_json()
    if folder.exists() and not folder.is_dir():
        raise InvalidDataError(f"{folder}: is a file; name a folder for the scores")
    theirs = _read(folder / JOB_FILE)
    if theirs is None and folder.is_dir() and any(folder.iterdir()):
        raise InvalidDataError(f"{folder}: isn't empty and holds no scoring job: name an empty folder")
    if theirs is not None and theirs != ours:
        differ = ", ".join(key for key in ours if theirs.get(key) != ours[key])
        raise InvalidDataError(
            f"{folder}: holds the results of another job ({differ} differ): name an empty folder"
        )
    if theirs is None:
        _write(folder / JOB_FILE, ours)
        return None
    with explained("clean up the output folder", folder):
        for leftover in folder.glob(PARTIAL):
            leftover.unlink(missing_ok=True)
    return _done(folder)


def write_success(folder: Path, job: Job, parts: Sequence[Part]) -> None:
    """Say that the job is done and what it wrote."""
    listed = [{"file": part.path.name, "rows": part.rows, "sha256": part.sha256} for part in parts]
    rows = sum(part.rows for part in parts)
    _write(folder / SUCCESS_FILE, {"job": job.to_json(), "rows": rows, "parts": listed})


def _done(folder: Path) -> Done | None:
    """Return what `_SUCCESS.json` says, if it is there; InvalidDataError if it isn't so any more."""
    data = _read(folder / SUCCESS_FILE)
    if data is None:
        return None
    try:
        done = Done(int(data["rows"]), tuple(folder / str(part["file"]) for part in data["parts"]))
    except (KeyError, TypeError, ValueError):
        raise InvalidDataError(
            f"{folder / SUCCESS_FILE}: isn't what a job writes: name an empty folder"
        ) from None
    missing = [part.name for part in done.parts if not part.is_file()]
    if missing:
        raise InvalidDataError(
            f"{folder}: the job was done, but {missing} are gone since: remove {SUCCESS_FILE} to score again"
        )
    return done


def _write(path: Path, data: dict[str, Any]) -> None:
    """Write a small file whole, or not at all; one that exists is left alone."""
    text = json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    Writer(path.parent, Disk()).create(path, text.encode(), path.name)


def _read(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file, or None if there is no such file."""
    if not path.is_file():
        return None
    try:
        data = json.loads(path.read_bytes())
    except ValueError as error:
        raise InvalidDataError(f"{path}: isn't JSON ({error}): name an empty folder") from None
    if not isinstance(data, dict):
        raise InvalidDataError(f"{path}: holds no JSON object: name an empty folder")
    return data
