"""`unisono train`."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from training.receipts import Trained

from . import tables
from .main import EXIT_DONE, EXIT_USAGE
from .progress import ProgressMode
from .training_progress import training_progress

EXTRA = "training needs the extra `training`: pip install 'unisono[training]'"
ConfigArgument = Annotated[
    str, Parameter(help="A TOML file, or the name of one that comes with unisono: digits, mnist5k.")
]


def train(  # noqa: PLR0913 - one parameter an option
    config: ConfigArgument = "digits",
    *,
    output: Annotated[Path, Parameter(help="The folder for the members and the rows to fit and test with.")],
    members: Annotated[
        str, Parameter(help="Which members, by name, with commas between; all if left out.")
    ] = "",
    seed: Annotated[int, Parameter(help="Another seed makes other members; the rows stay the same.")] = 0,
    pictures: Annotated[
        bool, Parameter(help="Draw each network and the shapes between its layers, as NAME.png.")
    ] = False,
    gpu_memory: Annotated[
        str,
        Parameter(help="On GPUs: `grow` takes memory as it is needed, a number that many MiB, `all` all."),
    ] = "grow",
    progress: Annotated[
        ProgressMode, Parameter(help="How far it is: a bar, lines, JSON objects, or nothing.")
    ] = "auto",
    metrics_file: Annotated[
        Path | None, Parameter(help="Keep each member's epoch and losses here, for Prometheus' textfiles.")
    ] = None,
) -> int:
    """Make members: train the models that CONFIG describes, each on rows that no weights are fitted on.

    A member that is already in the folder, whole and made of the same, is kept; a run that was killed goes
    on where it was. Figures are those on the validation rows, which no member learns from; the test rows are
    left alone. See docs/training.md.
    """
    from training.config import TrainConfig, shipped  # noqa: PLC0415 - heavy: only when the command runs
    from training.train import TrainOptions  # noqa: PLC0415 - heavy: only when the command runs
    from training.train import train as make_members  # noqa: PLC0415 - heavy: only when the command runs

    path = Path(config) if config.endswith(".toml") else shipped(config)
    options = TrainOptions(
        tuple(name.strip() for name in members.split(",") if name.strip()),
        seed=seed,
        pictures=pictures,
        gpu_memory=gpu_memory,
    )
    console = Console(stderr=True, highlight=False)
    try:
        with training_progress(console, progress, metrics_file) as on_progress:
            trained = make_members(output, TrainConfig.read(path), on_progress, options)
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
    figures = list(dict.fromkeys(name for member in members for name in member.figures))
    numbers = ("parameters", "epochs", "seconds", *(name.replace("_", "-") for name in figures))
    made = tables.table("member", "kind", *numbers, "", numbers=numbers)
    for member in members:
        made.add_row(
            member.name,
            member.kind,
            f"{member.parameters:,}",
            "-" if member.epochs is None else str(member.epochs),
            f"{member.seconds:.1f}",
            *(f"{member.figures[name]:.4f}" if name in member.figures else "-" for name in figures),
            "kept" if member.reused else "new",
        )
    tables.console().print(made)
