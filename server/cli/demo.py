"""`unisono demo`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

CLIENTS_PYTHON = Path(".venv-clients/bin/python")


def demo(
    *,
    folder: Annotated[
        Path, Parameter(help="Where members, store, scores and the picture go; used again next time.")
    ] = Path("demo"),
    clients_python: Annotated[
        Path, Parameter(help="The Python of an environment that has the stock tritonclient.")
    ] = CLIENTS_PYTHON,
) -> int:
    """Show the whole way on real handwritten digits, each step a command that you can type yourself.

    Trains four different models, publishes and serves them, asks with the stock client, learns weights
    while the server runs, scores a file, and shows the metrics and a picture.
    """
    from .demonstration.play import Play  # noqa: PLC0415 - heavy: only when the command runs
    from .demonstration.stage import Stage  # noqa: PLC0415 - only when the command runs

    folder.mkdir(parents=True, exist_ok=True)
    stage = Stage(Console(width=None if Console().is_terminal else 140, highlight=False), steps=8)
    Play(stage, folder, clients_python).run()
    return 0
