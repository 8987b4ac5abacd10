"""In this process, one item after another, or overlapping where the work knows how to."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .executor import Report, Result, Stream, Work


@dataclass(frozen=True, slots=True)
class InlineExecutor:
    """Does items itself. `threads` may work on one batch; 0: one a core."""

    threads: int = 0

    def run(self, work: Work, items: Iterable[int], report: Report) -> Iterator[Result]:
        """Give each item's result, in order."""
        task = work.start(self.threads)
        if isinstance(task, Stream):
            yield from task.stream(items, report)
            return
        for item in items:
            yield task(item, report)
