"""Members' scores over rows they have seen before, on disk: only what is new is scored.

FOLDER/<shard digest>/<member digest>.npy, float32 [row, class]. A shard is a run of rows of one file, and its
digest that of what its rows hold, so that neither another format nor more files change it. A file of scores
appears whole or not at all, and one that isn't what it should be counts as absent. Safe to delete whenever no
refit runs.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.chunk import Chunk
from ..data.opening import File
from ..member import Rows
from .fingerprints import bytes_of

ScoreArray = NDArray[np.float32]  # [row, class]

# Rows of a shard: few, so that appending to a file costs little; enough that a large file makes few shards.
SHARD_ROWS = 8192
# Of all members together at most so many scores are held in memory: 64 MiB.
VALUES_IN_MEMORY = 1 << 24


@dataclass(frozen=True, slots=True)
class Shard:
    """Some rows of a dataset, from `start` to before `stop`, and the sha256, in hex, of what they hold."""

    start: int
    stop: int
    digest: str


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """One member's scores over a dataset, [row, class], in the files of its shards, too large for memory.

    A file is opened when its rows are asked for: there may be more of them than may be open at once.
    """

    files: Sequence[Path]
    starts: NDArray[np.int64]  # of each file, the first row; then the end
    classes: int

    def __getitem__(self, rows: NDArray[np.int64] | slice) -> ScoreArray:
        """Return the scores of some rows, in the order asked for."""
        wanted = np.arange(*rows.indices(int(self.starts[-1]))) if isinstance(rows, slice) else rows
        found = np.empty((len(wanted), self.classes), dtype=np.float32)
        shards = np.searchsorted(self.starts, wanted, side="right") - 1
        for shard in np.unique(shards).tolist():
            inside = shards == shard
            scores = np.load(self.files[shard], mmap_mode="r", allow_pickle=False)
            found[inside] = scores[wanted[inside] - self.starts[shard]]
        return found


class Sharder:
    """Cuts a dataset, as it is read, into shards."""

    def __init__(self, rows: int = SHARD_ROWS) -> None:
        self._rows = rows
        self._digests: dict[str, Any] = {}  # by input, so that no digest depends on how rows came in batches
        self._place: tuple[File, int] | None = None
        self._start = self._stop = 0
        self._shards: list[Shard] = []

    def add(self, chunk: Chunk) -> None:
        """Take the rows that come next."""
        done, count = 0, len(chunk.row_numbers)
        while done < count:
            number = int(chunk.row_numbers[done])
            place = (chunk.source, number // self._rows)
            if place != self._place:
                self._end()
                self._place = place
            taken = min(count - done, self._rows - number % self._rows)
            self._take({name: array[done : done + taken] for name, array in chunk.rows.items()}, taken)
            done += taken

    def shards(self) -> tuple[Shard, ...]:
        """Return the shards of all rows that were added."""
        self._end()
        return tuple(self._shards)

    def _take(self, rows: Rows, count: int) -> None:
        for name, values in rows.items():
            array = np.asarray(values)
            if name not in self._digests:
                self._digests[name] = sha256(f"{name} {array.dtype} {array.shape[1:]}\n".encode())
            for row in bytes_of(array) if array.dtype == object else ():
                self._digests[name].update(len(row).to_bytes(8, "big") + row)
            if array.dtype != object:
                self._digests[name].update(np.ascontiguousarray(array))
        self._stop += count

    def _end(self) -> None:
        if self._stop > self._start:
            parts = [self._digests[name].digest() for name in sorted(self._digests)]
            self._shards.append(Shard(self._start, self._stop, sha256(b"".join(parts)).hexdigest()))
        self._start, self._digests = self._stop, {}


@dataclass(frozen=True, slots=True)
class ScoresCache:
    """Scores by member digest and shard digest. Several processes may share a folder."""

    folder: Path

    def has(self, member: str, shard: str, shape: tuple[int, int]) -> bool:
        """Whether the scores `[row, class]` of the member of that digest over the shard are here."""
        try:
            found = np.load(self.path(member, shard), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return False
        return bool(found.shape == shape and found.dtype == np.float32)

    def sheet(
        self, member: str, shards: Sequence[Shard], classes: int, members: int = 1
    ) -> "ScoreArray | Sheet":
        """Return one of `members` members' scores over these shards, all here; in memory, where they are few.

        Which it is changes no bit of what is learned.
        """
        files = [self.path(member, shard.digest) for shard in shards]
        sheet = Sheet(files, np.array([0, *(shard.stop for shard in shards)]), classes)
        return sheet if shards[-1].stop * classes * members > VALUES_IN_MEMORY else sheet[:]

    @contextmanager
    def filling(self, member: str, shard: str, shape: tuple[int, int]) -> Iterator[ScoreArray]:
        """Give an array to write the scores to; they are kept if the body ends without an exception."""
        path = self.path(member, shard)
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.stem}.", suffix=".tmp", delete=False
        ) as file:
            unfinished = Path(file.name)
        try:
            scores: np.memmap[Any, Any] = np.lib.format.open_memmap(
                unfinished, mode="w+", dtype=np.float32, shape=shape
            )
            yield scores
            scores.flush()
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)

    def path(self, member: str, shard: str) -> Path:
        """Return where these scores are, or would be."""
        return self.folder / shard / f"{member}.npy"
