"""How a long command says how far it is: a bar for people, a line every ten seconds for logs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

SECONDS_BETWEEN_LINES = 10.0

Advance = Callable[[int], None]


class RowSpeed(ProgressColumn):
    """Rows a second, lately."""

    def render(self, task: Task) -> Text:
        """Return the speed, or nothing before there is one."""
        return Text("" if task.speed is None else f"{task.speed:,.0f} rows/s")


@dataclass(slots=True)
class PlainLines:
    """Prints a line at most every ten seconds. `clock` gives seconds."""

    total: int
    verb: str
    console: Console
    clock: Callable[[], float] = monotonic
    began: float = field(init=False)
    printed: float = field(init=False)

    def __post_init__(self) -> None:
        """Start counting: the first line is due ten seconds from now."""
        self.began = self.printed = self.clock()

    def advance(self, done: int) -> None:
        """Say that `done` rows of the total are done."""
        now = self.clock()
        if now - self.printed >= SECONDS_BETWEEN_LINES:
            self.printed = now
            self.console.print(plain_line(self.verb, done, self.total, now - self.began), markup=False)


def plain_line(verb: str, done: int, total: int, seconds: float) -> str:
    """Say how far, how fast and how much longer, in one line; `seconds` have gone by."""
    speed = done / seconds
    left = f"{(total - done) / speed:,.0f} s left" if speed else "no end in sight"
    return f"{verb} {done:,} of {total:,} rows ({100 * done // total}%), {speed:,.0f} rows/s, {left}"


@contextmanager
def rows_progress(total: int, verb: str, console: Console) -> Iterator[Advance]:
    """Show progress over `total` rows on `console`; the body calls what it gets with the rows done so far."""
    if not console.is_terminal:
        yield PlainLines(total, verb, console).advance
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} rows"),
        RowSpeed(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(verb, total=total)
        yield lambda done: bar.update(task, completed=done)
