"""What is fuzzed: a function of bytes that may refuse them in its own words only, and where to begin."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


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
