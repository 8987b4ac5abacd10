"""`unisono train`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from training.progress import OnProgress
from training.progress import Progress as Step
from training.receipts import Trained
from training.recipes import NAMES

from . import tables
from .main import EXIT_DONE, EXIT_USAGE
from .progress import SECONDS_BETWEEN_LINES

EXTRA = "training needs the extra `training`: pip install 'unisono[training]'"


def train(
    *,
    output: Annotated[Path, Parameter(help="The folder for the members and the rows to fit and test with.")],
    members: Annotated[str, Parameter(help="Which members, by name, with commas between.")] = ",".join(NAMES),
    seed: Annotated[int, Parameter(help="Another seed makes other members; the rows stay the same.")] = 0,
) -> int:
    """Make members: train small models on scikit-learn's handwritten digits.

    A member that is already in the folder, whole and made with the same seed, is kept. Accuracy and
    log-loss are those on the validation rows, which no member learns from; the test rows are left alone.
    """
    from training.train import train as make_members  # noqa: PLC0415 - heavy: only when the command runs

    names = [name.strip() for name in members.split(",")]
    try:
        with _showing(Console(stderr=True, highlight=False)) as on_progress:
            trained = make_members(output, names, on_progress, seed=seed)
    except ModuleNotFoundError as error:
        print(f"error: {EXTRA} ({error})", file=sys.stderr)
        return EXIT_USAGE
    except OSError as error:
        print(f"error: can't write members to {output}: {error}", file=sys.stderr)
        return EXIT_USAGE
    _print_table(trained)
    tables.console().print(f"members, validation.npz, test.npz and test.parquet are in {output}")
    return EXIT_DONE


def _print_table(members: list[Trained]) -> None:
    """Print what was made, one line a member."""
    numbers = ("parameters", "epochs", "seconds", "held-out accuracy", "log-loss")
    made = tables.table("member", "kind", *numbers, "", numbers=numbers)
    for member in members:
        made.add_row(
            member.name,
            member.kind,
            f"{member.parameters:,}",
            "-" if member.epochs is None else str(member.epochs),
            f"{member.seconds:.1f}",
            f"{member.accuracy:.4f}",
            f"{member.log_loss:.4f}",
            "kept" if member.reused else "new",
        )
    tables.console().print(made)


@contextmanager
def _showing(console: Console) -> Iterator[OnProgress]:
    """Show the steps of training: a bar a member for people, a line now and then for logs."""
    if not console.is_terminal:
        yield _lines(console)
        return
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


def _lines(console: Console) -> OnProgress:
    """Return what prints a line when a member begins, and then one every ten seconds at most."""
    printed = monotonic()

    def show(step: Step) -> None:
        nonlocal printed
        if step.epoch == 0 or monotonic() - printed >= SECONDS_BETWEEN_LINES:
            printed = monotonic()
            line = f"training {step.member}: {step.epoch} of {step.epochs} epochs {_loss(step)}"
            console.print(line.rstrip(), markup=False)

    return show


def _loss(step: Step) -> str:
    return "" if step.loss is None else f"log-loss {step.loss:.4f}"
