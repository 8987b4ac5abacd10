"""How far a search is: a bar for people, a line a trial for logs, JSON for programs."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .progress import ProgressMode

# Called with the trial that is over and all that are, Optuna's.
OnTrial = Callable[[Any, Sequence[Any]], None]


@contextmanager
def tuning_progress(console: Console, mode: ProgressMode, count: int) -> Iterator[OnTrial]:
    """Show trials on `console` as they end, of `count` in all; the body calls what it gets with each."""
    mode = ("bar" if console.is_terminal else "plain") if mode == "auto" else mode
    if mode == "bar":
        with _bar(console, count) as show:
            yield show
        return
    yield {"plain": _lines(console, count), "json": _events(console, count)}.get(mode, _nothing)


def _nothing(_done: Any, _trials: Sequence[Any]) -> None:
    """Say nothing."""


@contextmanager
def _bar(console: Console, count: int) -> Iterator[OnTrial]:
    columns = (TextColumn("searching"), BarColumn(), MofNCompleteColumn(), TextColumn("trials"))
    with Progress(
        *columns, TextColumn("{task.fields[told]}"), TimeElapsedColumn(), console=console, transient=True
    ) as bars:
        task = bars.add_task("searching", total=count, told="")

        def show(done: Any, trials: Sequence[Any]) -> None:
            bars.update(task, completed=len(trials), told=_told(done, trials))

        yield show


def _lines(console: Console, count: int) -> OnTrial:
    def show(done: Any, trials: Sequence[Any]) -> None:
        console.print(f"trial {done.number + 1} of {count}: {_told(done, trials)}", markup=False)

    return show


def _events(console: Console, count: int) -> OnTrial:
    def show(done: Any, trials: Sequence[Any]) -> None:
        event = {
            "event": "trial",
            "trial": done.number,
            "trials": len(trials),
            "of": count,
            "state": done.state.name.lower(),
            "loss": done.values[0] if done.values else None,
            "best": _best(trials),
        }
        console.file.write(json.dumps(event) + "\n")
        console.file.flush()

    return show


def _told(done: Any, trials: Sequence[Any]) -> str:
    best = _best(trials)
    ended = f"loss {done.values[0]:.4f}" if done.values else done.state.name.lower()
    return ended if best is None else f"{ended}, best {best:.4f}"


def _best(trials: Sequence[Any]) -> float | None:
    return min((trial.values[0] for trial in trials if trial.values), default=None)
