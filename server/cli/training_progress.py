"""How far a training is: bars for people, lines for logs, JSON for programs, a file for Prometheus."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from training.progress import OnProgress
from training.progress import Progress as Step

from .progress import SECONDS_BETWEEN_LINES, ProgressMode


@contextmanager
def training_progress(
    console: Console, mode: ProgressMode, metrics_file: Path | None
) -> Iterator[OnProgress]:
    """Show the steps of training on `console`; the body calls what it gets with each step."""
    mode = ("bar" if console.is_terminal else "plain") if mode == "auto" else mode
    keep = _metrics(metrics_file) if metrics_file else _nothing
    if mode == "bar":
        with _bars(console) as show:
            yield _both(show, keep)
        return
    yield _both({"plain": _lines(console), "json": _events(console)}.get(mode, _nothing), keep)


def _nothing(_step: Step) -> None:
    """Say nothing."""


def _both(first: OnProgress, second: OnProgress) -> OnProgress:
    def tell(step: Step) -> None:
        first(step)
        second(step)

    return tell


@contextmanager
def _bars(console: Console) -> Iterator[OnProgress]:
    columns = (
        TextColumn("training {task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total:.0f} epochs"),
        TextColumn("{task.fields[loss]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        tasks = {}

        def show(step: Step) -> None:
            if step.member not in tasks:
                tasks[step.member] = bars.add_task(step.member, total=step.epochs, loss="")
            bars.update(tasks[step.member], completed=step.epoch, loss=_loss(step))

        yield show


def _lines(console: Console, clock: Callable[[], float] = monotonic) -> OnProgress:
    """Return what prints a line when a member begins, and then one every ten seconds at most."""
    printed = clock()

    def show(step: Step) -> None:
        nonlocal printed
        if step.epoch == 0 or clock() - printed >= SECONDS_BETWEEN_LINES:
            printed = clock()
            line = f"training {step.member}: {step.epoch} of {step.epochs} epochs {_loss(step)}"
            console.print(line.rstrip(), markup=False)

    return show


def _events(console: Console) -> OnProgress:
    """Return what prints a JSON object for each epoch."""

    def show(step: Step) -> None:
        event = {
            "event": "training",
            "member": step.member,
            "epoch": step.epoch,
            "epochs": step.epochs,
            "loss": step.loss,
        }
        console.file.write(json.dumps(event) + "\n")
        console.file.flush()

    return show


def _metrics(path: Path) -> OnProgress:
    """Return what writes the newest step of each member to `path`, whole each time."""
    from .metrics_file import MetricsFile  # noqa: PLC0415 - few ask for it

    texts = {
        "epoch": "Epochs done.",
        "epochs": "Epochs at most.",
        "held_out_loss": "Loss on the rows that decide when to stop, after the newest epoch.",
    }
    file = MetricsFile(path, "unisono_training", texts, ["member"])

    def keep(step: Step) -> None:
        values = {"epoch": step.epoch, "epochs": step.epochs, "held_out_loss": step.loss}
        file.write(values, step.member)

    return keep


def _loss(step: Step) -> str:
    return "" if step.loss is None else f"loss {step.loss:.4f}"
