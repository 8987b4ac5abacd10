"""`unisono tune`."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console

from . import tables
from .main import EXIT_DONE, EXIT_USAGE
from .progress import ProgressMode
from .train import EXTRA
from .tuning_progress import tuning_progress

if TYPE_CHECKING:
    from training.search.config import Beside
    from training.search.tune import Tuned

OutputFolder = Annotated[Path, Parameter(help="The folder for the study, the best members and their rows.")]


def tune(
    config: Annotated[Path, Parameter(help="A TOML file with [search] and [search.space].")],
    *,
    output: OutputFolder,
    gpu_memory: Annotated[
        str,
        Parameter(help="On GPUs: `grow` takes memory as it is needed, a number that many MiB, `all` all."),
    ] = "grow",
    progress: Annotated[
        ProgressMode, Parameter(help="How far it is: a bar, a line a trial, JSON objects, or nothing.")
    ] = "auto",
) -> int:
    """Search for members: train the networks that CONFIG's space holds, and keep the best.

    The same command goes on with a search that was killed, or that is to have more trials. With `beside`,
    trials are ranked by what they add to an ensemble. Test rows are looked at once, for the best. See
    docs/tuning.md.
    """
    try:
        from training.search.config import TuneConfig  # noqa: PLC0415 - heavy: only when the command runs
        from training.search.tune import tune as search  # noqa: PLC0415 - heavy: only when the command runs

        told = TuneConfig.read(config)
        console = Console(stderr=True, highlight=False)
        with tuning_progress(console, progress, told.search.trials) as on_trial:
            found = search(output, told, on_trial, gpu_memory)
    except ModuleNotFoundError as error:
        print(f"error: {EXTRA} ({error})", file=sys.stderr)
        return EXIT_USAGE
    except OSError as error:
        print(f"error: can't write to {output}: {error}", file=sys.stderr)
        return EXIT_USAGE
    _show(found, output)
    print(_next_step(found, output, told.search.beside))
    return EXIT_DONE


def _show(found: "Tuned", output: Path) -> None:
    """Print the best trials, and what the first of them does on test rows."""
    measures = [
        name
        for name in ("held_out_gain", "first_order_gain", "log_loss", "squared_error", "accuracy")
        if name in found.best[0].user_attrs
    ]
    numbers = tuple(name.replace("_", "-") for name in measures)
    made = tables.table("member", *numbers, "drawn", numbers=numbers)
    for trial in found.best:
        drawn = ", ".join(f"{_short(name)} {tables.number(value)}" for name, value in trial.params.items())
        figures = (f"{trial.user_attrs[name]:.4f}" for name in measures)
        made.add_row(f"trial-{trial.number:04d}", *figures, drawn)
    console = tables.console()
    console.print(made)
    told = ", ".join(f"{name.replace('_', '-')} {value:.4f}" for name, value in found.test.items())
    console.print(f"test rows, trial-{found.best[0].number:04d} alone: {told or 'there are none'}")
    if len(found.looks) > 1:
        console.print(
            f"test rows were looked at for trials {found.looks}: they are no fresh evidence any more"
        )
    console.print(
        f"{found.trials} trials are in {output / 'study.db'}, their course in {output / 'course.png'}"
    )


def _next_step(found: "Tuned", output: Path, beside: "Beside | None") -> str:
    """Return the command that takes up what was found."""
    files = [f"trial-{trial.number:04d}={output}/trial-{trial.number:04d}.keras" for trial in found.best]
    if beside is None or not beside.name:
        return "unisono publish NAME " + " ".join(f"--member {shlex.quote(file)}" for file in files)
    rows = shlex.quote(f"{output}/validation.npz")
    command = f"unisono refit {beside.name} --store {shlex.quote(beside.store)} --data {rows} --label label"
    return f"{command} --dry-run " + " ".join(f"--candidate {shlex.quote(file)}" for file in files)


def _short(name: str) -> str:
    return name.removeprefix("options.").removeprefix("fit.")
