"""Members' scores over data they have seen before, on disk: a refit on them takes milliseconds.

FOLDER/<data digest>/<member digest>.npy, float32 [row, class]. A file appears whole or not at all, is read
by memory mapping, and one that isn't what it should be counts as absent. Safe to delete at any time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
from numpy.typing import NDArray

ScoreArray = NDArray[np.float32]  # [row, class]


@dataclass(frozen=True, slots=True)
class ScoresCache:
    """Scores by member digest and data digest. Several processes may share a folder."""

    folder: Path

    def find(self, member: str, data: str, shape: tuple[int, int]) -> ScoreArray | None:
        """Return the scores `[row, class]` of the member of that digest over `data`, if they are here."""
        try:
            found = np.load(self._path(member, data), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return found if found.shape == shape and found.dtype == np.float32 else None

    @contextmanager
    def filling(self, member: str, data: str, shape: tuple[int, int]) -> Iterator[ScoreArray]:
        """Give an array to write the scores to; they are kept if the body ends without an exception."""
        path = self._path(member, data)
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.stem}.", suffix=".tmp", delete=False
        ) as file:
            unfinished = Path(file.name)
        try:
            scores = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.float32, shape=shape)
            yield scores
            scores.flush()
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)

    def _path(self, member: str, data: str) -> Path:
        return self.folder / data / f"{member}.npy"
