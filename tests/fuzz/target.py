"""What is fuzzed: a function of bytes that may refuse them in its own words only, and where to begin."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Target:
    """`read` takes any bytes: it returns, or raises one of `refusals`. Any other error is a finding.

    `seeds` are made from real messages and files: a fuzzer that starts from them gets past the first checks.
    """

    name: str
    read: Callable[[bytes], object]
    seeds: Sequence[bytes]
    refusals: tuple[type[Exception], ...] = ()

    def check(self, data: bytes) -> None:
        """Read `data`; whatever it raises is a finding."""
        try:
            self.read(data)
        except self.refusals:
            return


class Scratch:
    """A file for the bytes of one run at a time."""

    @cached_property
    def _folder(self) -> "tempfile.TemporaryDirectory[str]":
        # Made by the process that writes: its parent's would go with the first of the children that ends.
        return tempfile.TemporaryDirectory()

    def holding(self, data: bytes) -> Path:
        """Return the file, which holds `data` until the next call."""
        file = Path(self._folder.name) / "file"
        file.write_bytes(data)
        return file
