"""How a long command says how far it is: a bar for people, lines for logs, events for programs."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Literal, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_EVENTS = 1.0

# "auto": a bar on a terminal, else lines.
ProgressMode = Literal["auto", "bar", "plain", "json", "none"]


class Advance(Protocol):
    """Takes how many rows are done so far, and how many of them are known to have failed.

    What the first call says was done before this run began.
    """

    def __call__(self, done: int, failed: int = 0) -> None:
        """Show it."""


class RowSpeed(ProgressColumn):
    """Rows a second, lately. Rich leaves out the first step, so what was done before counts for nothing."""

    def render(self, task: Task) -> Text:
        """Return the speed, or nothing before there is one."""
        return Text("" if task.speed is None else f"{task.speed:,.0f} rows/s")


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a run is, by the rows that it did itself; the rows left are all that are not done."""

    rows_per_sec: float
    eta_secs: float | None  # None: at no row a second there is no end

    @classmethod
    def of(cls, before: int, done: int, total: int, seconds: float) -> Self:
        """Work it out `seconds` after a run began, when `before` of the `done` rows of `total` were done."""
        speed = max(done - before, 0) / seconds if seconds > 0 else 0.0
        left = max(total - done, 0)
        if left and not speed:
            return cls(speed, None)
        return cls(speed, left / speed if left else 0.0)


@dataclass(slots=True)
class Run:
    """One run's clock. `clock` gives seconds."""

    total: int
    clock: Callable[[], float] = monotonic
    began: float = field(init=False)
    before: int | None = None  # rows that were done when it began; None: not told yet

    def __post_init__(self) -> None:
        """Start counting."""
        self.began = self.clock()

    def at(self, now: float, done: int) -> Speed:
        """How fast it is, with `done` rows done `now`."""
        if self.before is None:
            self.before = done
        return Speed.of(self.before, done, self.total, now - self.began)


@dataclass(slots=True)
class Printed:
    """What is printed of a run now and then. `clock` gives seconds."""

    total: int
    verb: str
    console: Console
    clock: Callable[[], float] = monotonic
    run: Run = field(init=False)
    last: float = field(init=False)

    def __post_init__(self) -> None:
        """Start counting: the first line is due as long from now as any other from the one before."""
        self.run = Run(self.total, self.clock)
        self.last = self.run.began

    def due(self, done: int, between: float, *, at_once: bool = False) -> Speed | None:
        """How fast the run is, if the last line was `between` seconds ago or this one is due at once."""
        now = self.clock()
        speed = self.run.at(now, done)
        if now - self.last < between and not at_once:
            return None
        self.last = now
        return speed


class PlainLines(Printed):
    """Prints a line at most every ten seconds."""

    def advance(self, done: int, failed: int = 0) -> None:
        """Say that `done` rows of the total are done, `failed` of them with an error."""
        if speed := self.due(done, SECONDS_BETWEEN_LINES):
            line = plain_line(self.verb, done, self.total, speed) + _errors(failed)
            self.console.print(line, markup=False)


class JsonEvents(Printed):
    """Prints a JSON object a line, at most one a second, and one for the last row."""

    def advance(self, done: int, failed: int = 0) -> None:
        """Say that `done` rows of the total are done, `failed` of them with an error."""
        if speed := self.due(done, SECONDS_BETWEEN_EVENTS, at_once=done >= self.total):
            event = {
                "event": self.verb,
                "rows": done,
                "total": self.total,
                "errors": failed,
                "seconds": round(self.last - self.run.began, 3),
                "rows_per_sec": round(speed.rows_per_sec, 3),
                "eta_secs": None if speed.eta_secs is None else round(speed.eta_secs, 3),
            }
            self.console.file.write(json.dumps(event) + "\n")
            self.console.file.flush()


def plain_line(verb: str, done: int, total: int, speed: Speed) -> str:
    """Say how far, how fast and how much longer, in one line."""
    left = "no end in sight" if speed.eta_secs is None else f"{speed.eta_secs:,.0f} s left"
    percent = 100 * done // total
    return f"{verb} {done:,} of {total:,} rows ({percent}%), {speed.rows_per_sec:,.0f} rows/s, {left}"


def _errors(failed: int) -> str:
    """Say how many rows failed, if any."""
    return f", {failed:,} error{'s' if failed > 1 else ''}" if failed else ""


def _quiet(done: int, failed: int = 0) -> None:
    """Say nothing."""


@contextmanager
def rows_progress(total: int, verb: str, console: Console, mode: ProgressMode = "auto") -> Iterator[Advance]:
    """Show progress over `total` rows on `console`; the body calls what it gets with the rows done so far."""
    mode = ("bar" if console.is_terminal else "plain") if mode == "auto" else mode
    if mode != "bar":
        lines: dict[str, Advance] = {
            "plain": PlainLines(total, verb, console).advance,
            "json": JsonEvents(total, verb, console).advance,
        }
        yield lines.get(mode, _quiet)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} rows{task.fields[errors]}"),
        RowSpeed(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(verb, total=total, errors="")

        def show(done: int, failed: int = 0) -> None:
            bar.update(task, completed=done, errors=_errors(failed))

        yield show
