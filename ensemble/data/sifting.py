"""Good rows from bad ones: no row fails because of its neighbours.

A block is made into tensors as one. Only if that fails is it halved, and each half halved again, until the
bad rows stand alone. So good files cost nothing, and a bad row a few conversions more.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from ..errors import InvalidDataError
from .chunk import Chunk
from .opening import File
from .source import Block
from .tensors import Place


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that can't be scored, and why. `row` is its place in `source`, from 0; `code` is one word.

    `identity` is what its file calls it, an Arrow scalar; None if that wasn't asked for, or can't be read.
    """

    source: File
    row: int
    code: str
    message: str
    identity: Any = None


def sift(block: Block, make: Callable[[Block], Chunk]) -> tuple[list[Chunk], list[BadRow]]:
    """Return the rows that `make` takes, in order, in as few chunks as their shapes allow; and the others."""
    pieces: list[Chunk] = []
    bad: list[BadRow] = []
    for found in _pieces(block, make):
        if isinstance(found, BadRow):
            bad.append(found)
        else:
            pieces.append(found)
    return [joined(list(alike)) for _, alike in groupby(pieces, _shapes)], bad


def joined(chunks: Sequence[Chunk]) -> Chunk:
    """Return chunks of one file and of rows of one shape as one chunk; its rows needn't follow each other."""
    first = chunks[0]
    if len(chunks) == 1:
        return first
    rows = {name: np.concatenate([chunk.rows[name] for chunk in chunks]) for name in first.rows}
    kept = {name: pa.concat_arrays([chunk.kept[name] for chunk in chunks]) for name in first.kept}
    numbers = np.concatenate([chunk.row_numbers for chunk in chunks])
    return replace(first, rows=rows, kept=kept, numbers=numbers)


def bad_row(place: Place, error: Exception, code: str, identity: Any = None) -> BadRow:
    """Name a row that failed alone; the message doesn't repeat its place."""
    message = str(error)
    for start in (f"{place.row(0)}: ", f"{place.path}: "):
        message = message.removeprefix(start)
    return BadRow(place.path, place.start, code, message, identity)


def _pieces(block: Block, make: Callable[[Block], Chunk]) -> Iterator[Chunk | BadRow]:
    """Give what `block` falls into, in order."""
    try:
        made = make(block)
    except InvalidDataError as error:
        if block.rows == 1:
            yield bad_row(block.place, error, error.code, _identity(block))
            return
    else:
        yield made
        return
    half = block.rows // 2
    yield from _pieces(block.slice(0, half), make)
    yield from _pieces(block.slice(half, block.rows - half), make)


def _identity(block: Block) -> Any:
    """What the file calls a bad row, if that at least can be read."""
    wanted = block.wanted.only_identity
    try:
        return block.only(wanted).raw().kept[wanted.keep[0]][0] if wanted.keep else None
    except InvalidDataError:
        return None


def _shapes(chunk: Chunk) -> list[tuple[int, ...]]:
    """The shapes of one row."""
    return [array.shape[1:] for array in chunk.rows.values()]
