"""In this process, one item after another."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .executor import Report, Result, Work


@dataclass(frozen=True, slots=True)
class InlineExecutor:
    """Does items itself. `threads` may work on one batch; 0: one a core."""

    threads: int = 0

    def run(self, work: Work, items: Iterable[int], report: Report) -> Iterator[Result]:
        """Give each item's result, in order."""
        task = work.start(self.threads)
        for item in items:
            yield task(item, report)
