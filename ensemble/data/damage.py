"""Rows that are known to be there and can't be read: their bytes are damaged, or the file ends in them.

Rule 1: where the file says how many rows are lost, each of them is a bad row, and those around them are good.
Rule 2: where it can't say, the file is refused before anything is scored: nobody would see what is missing.
Rule 3: which rows are lost depends on the file alone, never on how many are read at once.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from ..errors import InvalidDataError
from .source import Block, Raw, Wanted
from .table import after, table_blocks
from .tensors import Place

DAMAGED, CUT = "damaged", "cut"


@dataclass(frozen=True, slots=True)
class Damage:
    """So many rows of a table that can't be read; where a record batch would be, and sliced as one."""

    num_rows: int
    why: str
    code: str = DAMAGED

    def slice(self, start: int) -> "Damage":
        """Return the rows from `start`."""
        return replace(self, num_rows=self.num_rows - start)


@dataclass(frozen=True, slots=True)
class DamagedBlock:
    """Rows that can't be read; `why` says it of each."""

    rows: int
    wanted: Wanted
    place: Place
    why: str
    code: str = DAMAGED

    def slice(self, start: int, count: int) -> "DamagedBlock":
        """Return `count` of the rows, from `start`."""
        return replace(self, rows=count, place=self.place.after(start))

    def only(self, wanted: Wanted) -> "DamagedBlock":
        """Return the same rows: nothing of them can be read, however little is wanted."""
        return replace(self, wanted=wanted)

    def raw(self) -> Raw:
        """Raise `InvalidDataError`."""
        raise InvalidDataError(f"{self.place.row(0)}: {self.why}", code=self.code)


def is_damage(error: BaseException) -> bool:
    """Whether the bytes are at fault, and not the disk, whose errors have numbers and may pass."""
    return not (isinstance(error, OSError) and error.errno)


def damaged_blocks(damage: Damage, wanted: Wanted, place: Place, rows: int) -> Iterator[DamagedBlock]:
    """Give the rows of `damage`, the first of which is at `place`, `rows` at a time."""
    for start in range(0, damage.num_rows, rows):
        count = min(rows, damage.num_rows - start)
        yield DamagedBlock(count, wanted, place.after(start), damage.why, damage.code)


def blocks_around(
    pieces: Iterable[Any], wanted: Wanted, place: Place, rows: int, skip: int = 0
) -> Iterator[Block]:
    """Cut record batches, some of which are `Damage`, into blocks, as `table_blocks` does."""
    done = 0
    for damaged, some in groupby(after(pieces, skip), lambda piece: isinstance(piece, Damage)):
        if damaged:
            for damage in some:
                yield from damaged_blocks(damage, wanted, place.after(done), rows)
                done += damage.num_rows
            continue
        for block in table_blocks(some, wanted, place.after(done), rows):
            yield block
            done += block.rows
