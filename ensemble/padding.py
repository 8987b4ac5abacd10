"""Batches of a few sizes alone, for runtimes that compile for each shape: rows are filled up to the next."""

from collections.abc import Sequence

import numpy as np

from .member import Rows, row_count


def padded_size(rows: int, sizes: Sequence[int]) -> int:
    """Return the least of `sizes` that holds so many rows; `rows` if none does, or there are no sizes."""
    return min((size for size in sizes if size >= rows), default=rows)


def joined(requests: Sequence[Rows], sizes: Sequence[int] = ()) -> Rows:
    """Lay the rows of `requests` one after another, and copies of the last row behind, up to one of `sizes`.

    Every row is copied once; a lone request that needs no filling up isn't.
    """
    count = sum(map(row_count, requests))
    missing = padded_size(count, sizes) - count
    if len(requests) == 1 and not missing:
        return requests[0]
    return {
        name: np.concatenate([*(rows[name] for rows in requests), *[requests[-1][name][-1:]] * missing])
        for name in requests[0]
    }


def cut(rows: Rows, part: slice) -> Rows:
    """Return some of the rows, uncopied."""
    return {name: array[part] for name, array in rows.items()}
