"""Tells rows that were seen before: a number for each row, and a small sample of them to keep.

Kept are the smallest of all numbers. Numbers are as good as random, so of another file's rows, of those whose
numbers are below the largest kept one, the share that is among the kept is the share that both files hold.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from ..member import Rows, row_count

Fingerprints = NDArray[np.uint64]
KEPT = 256


def fingerprints(rows: Rows) -> Fingerprints:
    """Return 64 bits for each row: the same for the same values of all inputs, whatever the label."""
    parts = [bytes_of(np.asarray(rows[name])) for name in sorted(rows)]
    found = np.empty(row_count(rows), dtype=np.uint64)
    for index, values in enumerate(zip(*parts, strict=True)):
        digest = blake2b(digest_size=8)
        for value in values:
            digest.update(value)
        found[index] = int.from_bytes(digest.digest(), "big")
    return found


def sketch(prints: Fingerprints) -> list[str]:
    """Return the smallest of the fingerprints, in hex, each once: all that need be kept of a file."""
    return [f"{value:016x}" for value in np.unique(prints)[:KEPT].tolist()]


def share_seen(prints: Fingerprints, kept: Sequence[str]) -> float:
    """Return about what share of rows was in the file that `kept` is the sketch of; exact for small files.

    Not a number where no row tells.
    """
    known = np.array([int(value, 16) for value in kept], dtype=np.uint64)
    telling = prints if len(known) < KEPT else prints[prints <= known.max()]
    return float(np.isin(telling, known).mean()) if len(telling) else float("nan")


def bytes_of(values: NDArray[np.generic]) -> list[bytes]:
    """Return the bytes of each row; of text, with a zero after each value."""
    if values.dtype == object:
        return [b"\0".join(_text(value) for value in np.ravel(row)) for row in values]
    flat = np.ascontiguousarray(values).reshape(len(values), -1)
    return [row.tobytes() for row in flat]


def _text(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
