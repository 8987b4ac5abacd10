"""Files that are there whole or not at all, and receipts that tell which."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replace_file(path: Path, *, ending: str | None = None) -> Iterator[Path]:
    """Give a path to write to, beside `path`; it takes the place of `path` if the block succeeds.

    `ending` is how both names end, the suffix if left out: Keras and others choose the format by it.
    """
    ending = path.suffix if ending is None else ending
    made = path.with_name(f".{path.name.removesuffix(ending)}.{os.getpid()}{ending}")
    try:
        yield made
        with made.open("rb+") as file:
            os.fsync(file.fileno())
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def sha256(path: Path) -> str | None:
    """Return the sha256 of a file in hex, or None when there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
