"""JSON lines: one object a line. Each line is a row, whether it can be read or not; empty lines are none."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import pyarrow as pa

from ..errors import InvalidDataError
from .damage import CUT, Damage
from .opening import PIECE, ROW_BYTES_AT_MOST, EndsEarlyError, File, opened
from .source import Block, Raw, Wanted
from .table import check_columns, to_raw, used_columns
from .tensors import Place

NAMES_FROM = 64  # lines that tell which names there are


@dataclass(frozen=True, slots=True)
class JsonlFile:
    """One file of JSON lines. `names` are those of its first objects."""

    path: File
    names: tuple[str, ...]
    untyped: bool = False

    @classmethod
    def open(cls, path: File) -> "JsonlFile":
        """Read the first lines of `path`."""
        names: dict[str, None] = {}
        with _clear_errors(path):
            for line in islice(_lines(path), NAMES_FROM):
                try:
                    names |= dict.fromkeys(_record(line, Place(path)))
                except InvalidDataError:
                    continue
        return cls(path, tuple(names))

    def check(self, wanted: Wanted) -> None:
        """Raise `InvalidDataError` unless the wanted names are there; an empty file has none."""
        if self.names:
            check_columns(wanted, self.names, Place(self.path))

    def count(self, wanted: Wanted) -> int:  # noqa: ARG002 - a line is a row, whatever it holds
        """Read the whole file once and count its lines."""
        with _clear_errors(self.path):
            return sum(1 for _ in _lines(self.path))

    def floor(self, row: int) -> int:  # noqa: ARG002 - lines are of any length
        """The first row."""
        return 0

    def read(self, wanted: Wanted, rows: int, start: int = 0) -> Iterator[Block]:
        """Give the lines from row `start`, `rows` at a time."""
        with _clear_errors(self.path):
            lines = islice(_lines(self.path), start, None)
            while some := list(islice(lines, rows)):
                yield LineBlock(some, self.names, wanted, Place(self.path, start))
                start += len(some)


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Lines, not parsed yet."""

    lines: list[bytes | Damage]
    names: tuple[str, ...]
    wanted: Wanted
    place: Place

    @property
    def rows(self) -> int:
        """How many they are."""
        return len(self.lines)

    def slice(self, start: int, count: int) -> "LineBlock":
        """Return `count` of the rows, from `start`."""
        some = self.lines[start : start + count]
        return LineBlock(some, self.names, self.wanted, self.place.after(start))

    def only(self, wanted: Wanted) -> "LineBlock":
        """Return the same rows, of which no more is wanted than this."""
        return replace(self, wanted=wanted)

    def raw(self) -> Raw:
        """Parse them, or raise `InvalidDataError`."""
        records = [_record(line, self.place.after(index)) for index, line in enumerate(self.lines)]
        used = used_columns(self.wanted, self.names, self.place)
        try:
            columns = [pa.array([record.get(name) for record in records]) for name in used]
        except (pa.ArrowException, OverflowError) as error:
            raise InvalidDataError(f"{self.place.row(0)}: can't be read: {error}", code="type") from None
        return to_raw(pa.record_batch(columns, names=used), self.wanted, self.place)


def _record(line: bytes | Damage, place: Place) -> dict[str, Any]:
    """Return the object in a line."""
    if isinstance(line, Damage):
        raise InvalidDataError(f"{place.row(0)}: {line.why}", code=line.code)
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidDataError(f"{place.row(0)}: isn't JSON: {error}", code="parse") from None
    if not isinstance(record, dict):
        raise InvalidDataError(f"{place.row(0)}: isn't a JSON object", code="parse")
    return record


def _lines(path: File) -> Iterator[bytes | Damage]:
    """Give the lines that aren't empty."""
    with opened(path) as file:
        try:
            while line := file.readline(ROW_BYTES_AT_MOST):
                if len(line) == ROW_BYTES_AT_MOST:
                    while (rest := file.readline(PIECE)) and not rest.endswith(b"\n"):
                        pass
                    yield Damage(1, f"has over {ROW_BYTES_AT_MOST:,} bytes", "size")
                elif line.strip():
                    yield line
        except EndsEarlyError as error:
            yield Damage(1, str(error), CUT)


@contextmanager
def _clear_errors(path: File) -> Iterator[None]:
    """Turn what the system says about a file into our error."""
    try:
        yield
    except OSError as error:
        raise InvalidDataError(f"{path}: can't be read as JSON lines: {error}") from error
