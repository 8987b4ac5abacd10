"""What a scoring job is: which rows of which files, cut into which parts, scored by what.

The plan decides every byte of the output. Two runs with one plan write the same parts, so a run that was
killed can be gone on with by anybody, and two that race do no harm.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from model_store.canonical import encode

from ..data.dataset import Dataset, reopen_dataset
from ..data.folders import stamp_of
from ..data.locations import Locations, local_path
from ..data.opening import File
from ..errors import InvalidDataError
from ..runtimes.choice import Plan as Way
from ..runtimes.devices import Kind
from ..signature import Signature
from .choosing import Settled
from .columns import ERROR_COLUMNS, OWN_COLUMNS, Columns, errors_schema, results_schema
from .pace import row_bytes
from .target import Target

SCHEMA_VERSION = 1
# Rows written at once: small enough to hold in memory with a thousand classes, large enough to read fast.
GROUP_ROWS = 8192
# Enough parts for many workers to share and for little to be lost with one; few enough to be one dataset.
PARTS_WANTED = 64
PART_ROWS_AT_MOST = 16 * GROUP_ROWS
# Large rows are slow to score: a part of few of them is work enough.
PART_BYTES = 64 << 20
PART_ROWS_AT_LEAST = 64
# The releases that have a say in the bytes.
MADE_WITH = ("unisono", "onnxruntime", "pyarrow")
ONNX_GPU = ("onnxruntime-gpu",)
MADE_ON: Mapping[Kind, tuple[str, ...]] = {"cpu": (), "cuda": ONNX_GPU, "tensorrt": ONNX_GPU}
NOT_SETTLED: Settled = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file as it was when the job was planned; `etag` is that of one in a bucket, "" of others."""

    path: str
    size: int
    mtime_ns: int
    rows: int
    etag: str = ""

    @classmethod
    def of(cls, file: File, rows: int) -> "InputFile":
        """Note what a file is like now."""
        if isinstance(file, Path):
            return cls(str(file), *_stamp(file), rows)
        return cls(str(file), file.size, 0, rows, file.etag)

    def check(self) -> None:
        """Raise `InvalidDataError` if the file has changed since; one in a bucket is asked at each read."""
        path = local_path(self.path)
        if path is not None and _stamp(path) != (self.size, self.mtime_ns):
            raise InvalidDataError(f"{path}: changed since the job was planned: score it into another folder")

    def to_json(self) -> dict[str, Any]:
        """Return the form that `plan.json` holds."""
        told = {"path": self.path, "size": self.size, "mtime_ns": self.mtime_ns, "rows": self.rows}
        return told | ({"etag": self.etag} if self.etag else {})


@dataclass(frozen=True, slots=True)
class Shard:
    """The rows, counted over all files, that one part is made from: `start` to before `stop`."""

    index: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        """What its files are called, less the ending."""
        return f"part-{self.index:05d}"


@dataclass(frozen=True, slots=True)
class Plan:
    """One job. The batch size and the workers aren't in it: no byte depends on them."""

    target: Target
    files: tuple[InputFile, ...]
    kept_types: Mapping[str, Any]
    columns: Columns
    part_rows: int
    made_with: Mapping[str, str]
    identity: str | None = None  # the column that names the rows
    settled: Settled = field(default_factory=dict)
    device: Kind = "cpu"

    @classmethod
    def of(
        cls,
        target: Target,
        dataset: Dataset,
        columns: Columns,
        part_rows: int | None,
        settled: Settled = NOT_SETTLED,
        device: Kind = "cpu",
    ) -> "Plan":
        """Plan the scoring of `dataset` by `target`, `part_rows` a part; None: as many as suit the whole."""
        own = {*OWN_COLUMNS, *([] if dataset.identity is None else ERROR_COLUMNS)}
        clash = sorted(set(dataset.keep) & own)
        if clash:
            raise InvalidDataError(f"can't keep {clash}: the results have columns of that name; rename yours")
        files = (InputFile.of(file, rows) for file, rows in zip(dataset.files, dataset.counts, strict=True))
        rows = part_rows or part_rows_for(dataset.rows, row_bytes(target.signature))
        packages = {*MADE_WITH, *(way.runtime for way in settled.values()), *MADE_ON[device]}
        made_with = {package: _release(package) for package in sorted(packages)}
        types = dict(dataset.kept_types)
        return cls(target, tuple(files), types, columns, rows, made_with, dataset.identity, settled, device)

    @property
    def rows(self) -> int:
        """How many rows there are to score."""
        return sum(file.rows for file in self.files)

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The parts, in order."""
        starts = range(0, self.rows, self.part_rows)
        return tuple(
            Shard(index, start, min(start + self.part_rows, self.rows)) for index, start in enumerate(starts)
        )

    @property
    def schema(self) -> Any:
        """The columns of the parts."""
        return results_schema(self.target, self.columns, self.kept_types)

    @property
    def errors_schema(self) -> Any:
        """The columns of the lists of rows that could not be scored."""
        return errors_schema(self.kept_types, self.identity)

    @property
    def fingerprint(self) -> str:
        """The sha256 of all of it, in hex."""
        return sha256(encode(self.to_json())).hexdigest()

    def open_dataset(self) -> Dataset:
        """Open the files again, if they are as they were; `InvalidDataError`."""
        for file in self.files:
            file.check()
        locations = Locations()
        files = [(locations.known(file.path, file.size, file.etag), file.rows) for file in self.files]
        return reopen_dataset(files, self.target.signature, self.kept_types, self.identity)

    def to_json(self) -> dict[str, Any]:
        """Return the form that `plan.json` holds."""
        return {
            "schema_version": SCHEMA_VERSION,
            "ensemble": self.target.ensemble,
            "version": self.target.version,
            "classes": list(self.target.classes),
            "members": list(self.target.members),
            "signature": self.target.signature.to_json(),
            "weights_sha256": self.target.weights_sha256,
            "manifest_sha256": self.target.manifest_sha256,
            "outputs": list(self.columns.outputs),
            "member_outputs": self.columns.members,
            "id_column": self.identity,
            "keep": list(self.kept_types),
            "kept_types": _types_to_text(self.kept_types),
            "part_rows": self.part_rows,
            "made_with": dict(self.made_with),
            "runtimes": {name: way._asdict() for name, way in self.settled.items()},
            "files": [file.to_json() for file in self.files],
            **({} if self.device == "cpu" else {"device": self.device}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Plan":
        """Read what `to_json` wrote; KeyError, TypeError or ValueError if it isn't that."""
        target = Target(
            data["ensemble"],
            data["version"],
            tuple(data["classes"]),
            tuple(data["members"]),
            Signature.from_json(data["signature"]),
            data["weights_sha256"],
            data["manifest_sha256"],
        )
        return cls(
            target,
            tuple(InputFile(**file) for file in data["files"]),
            _types_from_text(data["kept_types"]),
            Columns(tuple(data["outputs"]), data["member_outputs"]),
            data["part_rows"],
            data["made_with"],
            data["id_column"],
            {name: Way(way["runtime"], way["threads"]) for name, way in data["runtimes"].items()},
            data.get("device", "cpu"),
        )


def part_rows_for(rows: int, size: int) -> int:
    """Return how many of `rows` rows of `size` bytes go into a part: for some sixty parts, in bounds."""
    fit = 1 << (max(PART_BYTES // size, PART_ROWS_AT_LEAST).bit_length() - 1)
    least = min(fit, GROUP_ROWS)
    return min(least * max(-(-rows // (PARTS_WANTED * least)), 1), PART_ROWS_AT_MOST)


def _stamp(path: Path) -> tuple[int, int]:
    """The size and time of a file, by which a change is noticed."""
    try:
        if path.is_dir():
            return stamp_of(path)
        stat = path.stat()
    except OSError as error:
        raise InvalidDataError(f"{path}: can't be read: {error.strerror}") from error
    return stat.st_size, stat.st_mtime_ns


def _release(package: str) -> str:
    """The installed release; in a checkout, unisono itself may have none."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def _types_to_text(types: Mapping[str, Any]) -> str:
    """Arrow types have one exact spelling only: Arrow's own."""
    return base64.b64encode(pa.schema(list(types.items())).serialize().to_pybytes()).decode()


def _types_from_text(text: str) -> dict[str, Any]:
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))
    return {field.name: field.type for field in schema}
