"""Any range of a dataset's rows, read on from where the last one ended if that is less work."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..errors import InvalidDataError
from .labels import LabelRule
from .source import Block, Source, Wanted


@dataclass(frozen=True, slots=True)
class OpenFile:
    """One file of a dataset: how it is read, how many rows it has, which labels it may hold."""

    source: Source
    rows: int
    rule: LabelRule


@dataclass(frozen=True, slots=True)
class Found:
    """A block, the file it is from, and the place of its first row in the whole dataset."""

    file: OpenFile
    block: Block
    start: int


class Cursor:
    """Gives blocks of at most `rows` rows, and remembers where it stands. For one thread."""

    def __init__(self, files: Sequence[OpenFile], wanted: Wanted, rows: int) -> None:
        self._files = files
        self._wanted = wanted
        self._rows = rows
        self._index = -1
        self._at = 0  # the row of the file that comes next
        self._blocks: Iterator[Block] = iter(())
        self._rest: Block | None = None

    def blocks(self, start: int, stop: int) -> Iterator[Found]:
        """Give the rows from `start` to before `stop`, counted over all files, in order."""
        first = 0
        for index, file in enumerate(self._files):
            begin, end = max(start - first, 0), min(stop - first, file.rows)
            if begin < end:
                for block in self._of_file(index, begin, end):
                    yield Found(file, block, first + block.place.start)
            first += file.rows

    def _of_file(self, index: int, begin: int, end: int) -> Iterator[Block]:
        """Give the rows `begin` to before `end` of one file."""
        self._go_to(index, begin)
        while self._at < end:
            block = self._next()
            used = min(block.rows, end - self._at)
            skipped = min(max(begin - self._at, 0), used)
            # Before the yield: whoever asked may never come back.
            self._at += used
            self._rest = block.slice(used, block.rows - used) if used < block.rows else None
            if skipped < used:
                whole = used - skipped == block.rows
                yield block if whole else block.slice(skipped, used - skipped)

    def _go_to(self, index: int, row: int) -> None:
        """Open the file anew, unless what is open leads to `row` without a detour."""
        source = self._files[index].source
        if index != self._index or not source.floor(row) <= self._at <= row:
            self._blocks = source.read(self._wanted, self._rows, row)
            self._index, self._at, self._rest = index, row, None

    def _next(self) -> Block:
        """Take what is left of the last block, or read one."""
        block = self._rest or next(self._blocks, None)
        if block is None:
            file = self._files[self._index]
            raise InvalidDataError(
                f"{file.source.path}: ends at row {self._at}, and had {file.rows} rows when it was opened:"
                " it changed meanwhile"
            )
        return block
