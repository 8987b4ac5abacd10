"""What an executor is given, and what it promises.

Items are numbers; what they mean is the work's affair. An item may be done twice: a worker can be lost after
it has done one and before it could say so. So the work itself must make the second time harmless.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

# The item, and how many of its rows are done so far.
Report = Callable[[int, int], None]
# What one item came to, in the words of JSON.
Result = dict[str, Any]
Task = Callable[[int, Report], Result]


@runtime_checkable
class Stream(Protocol):
    """A task that overlaps its items: it begins one before it is done with the last."""

    def stream(self, items: Iterable[int], report: Report) -> Iterator[Result]:
        """Give each item's result once the item is done, in order."""
        ...


class Work(Protocol):
    """A description of work, small and picklable: addresses and digests, never a model."""

    def start(self, threads: int) -> Task:
        """Load what is needed, once a worker, and return what does one item, on `threads`; 0: one a core."""
        ...


class Executor(Protocol):
    """Does items, in any order. `tests/conformance` checks what every executor must keep."""

    def run(self, work: Work, items: Iterable[int], report: Report) -> Iterator[Result]:
        """Give each item's result as it comes. The first error of the work ends all, and is raised here."""
        ...
